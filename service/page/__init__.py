"""The web page: static files, ready to be served as they are."""

from pathlib import Path

STATIC = Path(__file__).parent / "static"

__all__ = ["STATIC"]
