"""A pair of models of one small network: one keeps the pixel contract, the other makes its maps."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch is brought where it is used: most tests do without
    from training.networks.nightlift import Nightlift

OPTIONS = {"width": 8, "detail_gain": 1.5}
NAME = "lively"
PAIR = (NAME, f"{NAME}_map")
SCRIPTED_PAIR = (f"{NAME}_torchscript", f"{NAME}_map_torchscript")


def lively_network(**options: object) -> Nightlift:
    """A narrow network with seeded weights that make a map which is not the same everywhere, in `eval` mode."""
    import torch
    from torch import nn

    from training.networks import create, nightlift

    torch.manual_seed(11)
    network = create("nightlift", **{**OPTIONS, **options})
    assert isinstance(network, nightlift.Nightlift)
    for last, deviation in ((network.light, 0.03), (network.head, 0.03), (network.to_coarse, 0.2)):
        nn.init.normal_(last.weight, 0.0, deviation)
    for name in ("to_middle", "narrow"):
        for module in (part for label, part in network.named_modules() if label.endswith(name)):
            assert isinstance(module, nn.Linear)
            nn.init.normal_(module.weight, 0.0, 0.2)
    nn.init.constant_(network.guess[4].bias, 0.4)  # type: ignore[arg-type]
    return network.eval()


def save_lively_checkpoint(path: Path) -> Path:
    """Its weights, as training writes them."""
    import torch

    from tests.export.checkpoints import TRAINING

    state = lively_network().state_dict()
    torch.save({"network": "nightlift", "options": OPTIONS, "state_dict": state, "manifest": TRAINING}, path)
    return path


def make_map_models(folder: Path) -> Path:
    """A folder with `best.pt`, and with `models`, which holds the pair in both formats, unless it was made already.

    Tests run in several processes: one makes it, the others wait.
    """
    from export import export_checkpoint

    done = folder / "complete"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            checkpoint = save_lively_checkpoint(folder / "best.pt")
            export_checkpoint(checkpoint, folder / "models", name=NAME, full_size=False)
            done.touch()
    return folder
