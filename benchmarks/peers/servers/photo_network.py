"""What every peer runs: a JPEG, the network, a JPEG. It imports nothing of ours: peers have their own environments.

Settings come from the environment: PEER_MODEL, PEER_THREADS inside a pass, PEER_WORKERS side by side, PEER_BATCH, and
PEER_MODE, `whole` or `shrunk`: the naive wrapper that shrinks a photo, runs the network, and enlarges the answer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np
import onnxruntime as ort
import simplejpeg
from numpy.typing import NDArray

QUALITY = 90
PROXY_SIDE = 256

PORT = int(os.environ.get("PEER_PORT", "9000"))
THREADS = int(os.environ.get("PEER_THREADS", "1"))
WORKERS = int(os.environ.get("PEER_WORKERS", "2"))
BATCH = int(os.environ.get("PEER_BATCH", "1"))
SHRUNK = os.environ.get("PEER_MODE", "whole") == "shrunk"

Pixels = NDArray[np.uint8]


class PhotoNetwork:
    """One session, which several threads may use at once; the same options as the service's."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(os.environ["PEER_MODEL"], options, providers=["CPUExecutionProvider"])
        self.run(np.zeros((1, 400, 600, 3), np.uint8))

    def run(self, batch: Pixels) -> Pixels:
        """UINT8 [N, H, W, 3] to the same."""
        return np.asarray(self._session.run(["enhanced"], {"image": batch})[0])

    def enhance(self, photo: bytes) -> bytes:
        """A JPEG to a JPEG."""
        return encode(self.run_one(decode(photo)))

    def run_one(self, pixels: Pixels) -> Pixels:
        """UINT8 [H, W, 3] to the same, whole or shrunk."""
        if not SHRUNK:
            return self.run(pixels[None])[0]
        height, width = pixels.shape[:2]
        scale = min(1.0, PROXY_SIDE / max(height, width))
        size = (max(16, round(width * scale)), max(16, round(height * scale)))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        answer = cv2.resize(
            self.run(np.asarray(small, np.uint8)[None])[0], (width, height), interpolation=cv2.INTER_CUBIC
        )
        return np.asarray(answer, np.uint8)

    def run_many(self, photos: Sequence[Pixels]) -> list[Pixels]:
        """As `run_one`, photos of equal size in one pass."""
        if SHRUNK or len({photo.shape for photo in photos}) > 1:
            return [self.run_one(photo) for photo in photos]
        return list(self.run(np.stack(photos)))


def decode(photo: bytes) -> Pixels:
    """A JPEG to UINT8 [H, W, 3]."""
    return np.asarray(simplejpeg.decode_jpeg(photo))


def encode(pixels: Pixels) -> bytes:
    """UINT8 [H, W, 3] to a JPEG."""
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=QUALITY, colorsubsampling="420"))
