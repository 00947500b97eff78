"""Every setting of the service, read once at start from `NIGHTLIFT_*` environment variables and checked."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MIB = 1024 * 1024


class Settings(BaseSettings):
    """The service's settings; the environment variable of `max_body_bytes` is `NIGHTLIFT_MAX_BODY_BYTES`."""

    model_config = SettingsConfigDict(
        env_prefix="NIGHTLIFT_", frozen=True, use_attribute_docstrings=True, extra="forbid"
    )

    host: str = "127.0.0.1"
    """Address that HTTP and gRPC listen on. Containers set 0.0.0.0."""

    port: int = Field(8000, ge=0, le=65535)
    """HTTP port; 0 takes a free one."""

    max_body_bytes: int = Field(64 * MIB, ge=1024)
    """Largest request body in bytes, on HTTP and gRPC alike."""

    max_pixels: int = Field(64_000_000, ge=256)
    """Largest picture in pixels, checked from the file's header before anything is decoded."""

    model_repository: Path = Path(__file__).resolve().parent.parent / "model_repository"
    """Folder of models in Triton's layout."""
