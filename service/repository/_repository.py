"""The folder of models: their names, versions and files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from service.errors import ModelNotFound
from service.repository._config import ConfigError, ModelConfig, read_config

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
VERSION_NAME = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class ModelVersion:
    """One servable file."""

    config: ModelConfig
    version: int
    path: Path

    @property
    def name(self) -> str:
        """The model's name, which is its folder's."""
        return self.config.name


class ModelRepository:
    """`<root>/<model>/config.pbtxt` and `<root>/<model>/<version>/<file>`, as Triton lays them out.

    The folder is read again at every call, so that a model copied in while the service runs can be loaded.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """All model folders, sorted: those with a configuration and a name that is allowed in a URL."""
        if not self.root.is_dir():
            return []
        return sorted(
            folder.name for folder in self.root.iterdir() if MODEL_NAME.fullmatch(folder.name) and _has_config(folder)
        )

    def config(self, name: str) -> ModelConfig:
        """The checked configuration of a model.

        Raises:
            ModelNotFound: if there is no such folder.
            ConfigError: if its config.pbtxt cannot be served here.
        """
        # Only names that the folder itself lists are joined to the root, so a name can never leave it.
        if name not in self.names():
            raise ModelNotFound(f"model {name!r} is not in the repository", available=self.names())
        return read_config(self.root / name)

    def servable(self, name: str) -> list[ModelVersion]:
        """The versions of a model that its policy chooses, ascending.

        Raises:
            ModelNotFound: if there is no such model, or no version of it with a model file.
            ConfigError: if its config.pbtxt cannot be served here, or its folder not be read.
        """
        config = self.config(name)
        folder = self.root / name
        try:
            present = tuple(
                int(entry.name)
                for entry in folder.iterdir()
                if VERSION_NAME.fullmatch(entry.name) and (entry / config.filename).exists()
            )
        except OSError as error:
            raise ConfigError(f"the versions of model {name!r} cannot be read: {error.strerror}") from None
        chosen = config.versions.choose(present)
        if not chosen:
            raise ModelNotFound(
                f"model {name!r} has no version that its policy serves; present are {sorted(present)}"
            )
        return [ModelVersion(config, version, _model_file(folder / str(version), config)) for version in chosen]


def _has_config(folder: Path) -> bool:
    """Whether a folder has a config.pbtxt; also True if that cannot be told: reading it will report why."""
    try:
        return (folder / "config.pbtxt").exists()
    except OSError:
        return True


def _model_file(folder: Path, config: ModelConfig) -> Path:
    """The model's file; with weights outside the graph, both are in a folder with the file's name."""
    path = folder / config.filename
    return path / config.filename if path.is_dir() else path
