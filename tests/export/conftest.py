"""One seeded network, exported once for all tests."""

from __future__ import annotations

import pytest

from export import export_checkpoint
from tests.export.checkpoints import Exported, save_checkpoint


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Zero-DCE-improved with seeded weights in both formats; read only."""
    folder = tmp_path_factory.mktemp("exported")
    checkpoint = save_checkpoint(folder / "best.pt")
    export_checkpoint(checkpoint, folder / "models", full_size=False)
    return Exported(folder / "models", checkpoint)
