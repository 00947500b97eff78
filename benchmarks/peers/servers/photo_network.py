"""What every peer runs: decode a JPEG, run the network, encode a JPEG.

It does not import our packages, because peers have their own environments. Environment variables: PEER_MODEL,
PEER_PORT, PEER_WORKERS, PEER_THREADS per inference pass, PEER_BATCH, and PEER_MODE: `whole` for full resolution, or
`shrunk` for the naive wrapper that shrinks a photo, runs the network, and enlarges the result.
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
    """An ONNX Runtime session with the service's options; it is thread-safe."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = THREADS, 1
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(os.environ["PEER_MODEL"], options, providers=["CPUExecutionProvider"])
        self.run(np.zeros((1, 400, 600, 3), np.uint8))

    def run(self, batch: Pixels) -> Pixels:
        """Run the network: uint8 [N, H, W, 3] to the same shape."""
        return np.asarray(self._session.run(["enhanced"], {"image": batch})[0])

    def enhance(self, photo: bytes) -> bytes:
        """Enhance a JPEG; returns a JPEG."""
        return encode(self.run_one(decode(photo)))

    def run_one(self, pixels: Pixels) -> Pixels:
        """Enhance one photo, uint8 [H, W, 3], according to PEER_MODE; same shape."""
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
        """Like `run_one` for several photos; in one pass if all have the same size."""
        if SHRUNK or len({photo.shape for photo in photos}) > 1:
            return [self.run_one(photo) for photo in photos]
        return list(self.run(np.stack(photos)))


def decode(photo: bytes) -> Pixels:
    """A JPEG decoded to uint8 [H, W, 3]."""
    return np.asarray(simplejpeg.decode_jpeg(photo))


def encode(pixels: Pixels) -> bytes:
    """uint8 [H, W, 3] as a JPEG of quality 90, 4:2:0."""
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=QUALITY, colorsubsampling="420"))
