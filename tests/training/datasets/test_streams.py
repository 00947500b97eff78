"""Transforms of samples and endless batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests import pictures
from training.datasets import Sample, Stream, Transforms, held_out_batches, read_picture
from training.datasets._transforms import transform


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("pairs")
    result = []
    for number, name in enumerate(pictures.SCENES):
        dark, bright = pictures.pair(name, (40, 48))
        files = {"low": folder / f"low{number}.png", "high": folder / f"high{number}.png"}
        files["low"].write_bytes(pictures.encoded(dark))
        files["high"].write_bytes(pictures.encoded(bright))
        result.append(Sample(name, files, name))
    return result


FIELDS = {"low": "low", "high": "high"}


def _views(size: tuple[int, int] = (40, 48)) -> dict[str, np.ndarray]:
    """Views that tell every pixel's place: equal in both."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    place = np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8)
    return {"low": place, "high": place.copy()}


def test_views_of_a_sample_are_cut_and_flipped_together() -> None:
    words = Transforms.model_validate(
        {"crop": 16, "flips": {"horizontal": 0.5, "vertical": 0.5, "transpose": 0.5}, "zoom": None}
    )
    seen = set()
    for seed in range(100):
        result = transform(_views(), words, np.random.default_rng(seed))
        assert result["low"].shape == (16, 16, 3)
        assert np.array_equal(result["low"], result["high"])
        corner = result["low"].astype(int)
        seen.add((corner[1, 0, 0] - corner[0, 0, 0], corner[0, 1, 1] - corner[0, 0, 1]))
    # Upright, mirrored either way or both; exchanged, rows no longer change downwards.
    assert seen == {(1, 1), (1, -1), (-1, 1), (-1, -1), (0, 0)}


def test_crop_extends_small_pictures_by_reflection() -> None:
    result = transform(_views((10, 12)), Transforms(crop=(16, 12)), np.random.default_rng(0))
    assert result["low"].shape == (16, 12, 3)
    assert result["low"][10:, 0, 0].tolist() == [9, 8, 7, 6, 5, 4]


def test_zoom_keeps_the_size() -> None:
    words = Transforms.model_validate({"zoom": {"probability": 1.0, "smallest": 0.5}})
    result = transform(_views(), words, np.random.default_rng(0))
    assert result["low"].shape == (40, 48, 3)
    assert result["low"][..., 0].max() - result["low"][..., 0].min() < 39


def test_exposure_changes_the_dark_view_only() -> None:
    words = Transforms.model_validate({"exposure": {"gain": [0.5, 0.5], "noise": [0.0, 0.0]}})
    views = _views()
    result = transform(views, words, np.random.default_rng(0))
    assert np.array_equal(result["high"], views["high"])
    assert np.abs(result["low"] - views["low"] / 2).max() <= 0.5


def test_batches_depend_on_the_step_alone(samples: list[Sample]) -> None:
    words = Transforms.model_validate({"crop": 16, "flips": {"horizontal": 0.5}})
    one, other = (Stream(samples, words, FIELDS, batch_size=3, seed=5) for _ in range(2))
    expected = [one.batch(step) for step in range(4)]
    for step in (3, 0, 2):
        for name in FIELDS:
            assert torch.equal(other.batch(step)[name], expected[step][name])
    assert expected[0]["low"].shape == (3, 3, 16, 16)
    assert expected[0]["low"].dtype == torch.uint8


def test_every_epoch_visits_every_sample_once(samples: list[Sample]) -> None:
    stream = Stream(samples, Transforms(), {"image": "low"}, batch_size=2, seed=0)
    means = {round(float(read_picture(s.files["low"]).mean()), 4) for s in samples}
    for epoch in range(3):
        pair = [stream.batch(2 * epoch + half)["image"].float() for half in range(2)]
        seen = {round(float(picture.mean()), 4) for picture in torch.cat(pair)}
        assert seen == means


def test_devices_share_a_batch(samples: list[Sample]) -> None:
    stream = Stream(samples, Transforms(crop=16), FIELDS, batch_size=4, seed=0)
    whole = stream.batch(1)["low"]
    assert torch.equal(stream.batch(1, rank=0, world=2)["low"], whole[0::2])
    assert torch.equal(stream.batch(1, rank=1, world=2)["low"], whole[1::2])


def test_held_out_pictures_are_whole_and_batched_by_shape(samples: list[Sample]) -> None:
    words = Transforms.model_validate({"crop": 16, "flips": {"horizontal": 1.0}})
    batches = list(held_out_batches(samples, words, FIELDS, batch_size=3))
    assert [len(batch["low"]) for batch in batches] == [3, 1]
    first = read_picture(samples[0].files["low"])
    assert np.array_equal(batches[0]["low"][0].permute(1, 2, 0).numpy(), first)


def test_resize_is_height_then_width(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(pictures.encoded(pictures.scene("coffee", (30, 60))))
    assert read_picture(file, (16, 20)).shape == (16, 20, 3)
    assert read_picture(file, 12).shape == (12, 12, 3)
