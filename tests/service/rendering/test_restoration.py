"""Restoration: tiles without seams, grain that ends nowhere at an edge, and every kind of picture."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.contract import RESTORER_HALO, RESTORER_MULTIPLE
from service.errors import EngineFailed
from service.pictures import Picture, PictureFormat
from service.rendering import (
    NEUTRAL,
    Answer,
    Detail,
    RenderOptions,
    Restoration,
    begin_answer,
    plan,
    plan_restoration,
    prepare,
    restoration_of,
    visible_noise,
)
from service.rendering._restoration import _spans
from service.rendering._visible_noise import is_zero, stretched
from tests import pictures
from tests.restorers import blur, blurred
from tests.service.pictures.profiles import rgb_profile
from tests.service.rendering.networks import POINTWISE, Network, curve
from training.networks.restorer import Restorer

DOUBLED = curve(lambda value: 2 * value)
Codes = NDArray[Any]


def answer_to(picture: Picture, network: Network = DOUBLED, options: RenderOptions = NEUTRAL) -> Answer:
    render_plan = plan(picture.width, picture.height, picture.bits, POINTWISE, options)
    prepared = prepare(picture, render_plan)
    return Answer(prepared, [network(item[None])[0] for item in prepared.items])


def picture_of(pixels: Codes, **others: Any) -> Picture:
    return Picture(pixels, PictureFormat.PNG, **others)


def restored(
    answer: Answer, noise: NDArray[np.float32] | None = None, scale: int = 1, strength: float = 1.0
) -> Codes:
    """The restored answer, tile by tile in another order than that of the plan."""
    picture = answer.prepared.picture
    restoration = restoration_of(
        answer, plan_restoration(picture.height, picture.width, noise, scale), noise, strength
    )
    bring(restoration)
    return restoration.pixels


def bring(restoration: Restoration) -> None:
    for window in reversed(restoration.plan.windows):
        tensors = restoration.inputs(window)
        assert tensors["answer"].shape == tensors["image"].shape
        assert all(side % RESTORER_MULTIPLE == 0 for side in tensors["answer"].shape[1:3])
        assert {array.dtype for array in tensors.values()} == {np.dtype(np.uint8)}
        restoration.add(window, blur(tensors["answer"][0]))


def grainy(size: tuple[int, int], level: float = 40.0, deviation: float = 6.0, seed: int = 0) -> NDArray[np.uint8]:
    """A flat dark photo with noise, uint8 [H, W, 3]."""
    noise = np.random.default_rng(seed).normal(0, deviation, (*size, 3))
    return np.clip(np.rint(level + noise), 0, 255).astype(np.uint8)


@given(length=st.integers(16, 9000))
def test_spans_keep_each_pixel_once_with_a_halo_around_it(length: int) -> None:
    spans = list(_spans(length))
    assert [span.keep_start for span in spans] == [0, *(span.keep_stop for span in spans[:-1])]
    assert spans[-1].keep_stop == length <= spans[-1].stop
    for span in spans:
        assert span.length % RESTORER_MULTIPLE == 0
        assert span.start % RESTORER_MULTIPLE == 0
        assert span.start == 0 or span.keep_start - span.start >= RESTORER_HALO
        assert span.stop >= length or span.stop - span.keep_stop >= RESTORER_HALO
    if length >= 256:
        assert sum(span.length for span in spans) <= math.sqrt(1.3) * length


def test_large_photos_share_a_shape() -> None:
    shapes = {
        (window.rows.length, window.columns.length)
        for size in ((3024, 4032), (4000, 6000))
        for window in plan_restoration(*size, None).windows
    }
    assert len(shapes) <= 8
    most = [window for window in plan_restoration(3024, 4032, None).windows if window.rows.length == 576]
    assert len(most) > 0.7 * len(plan_restoration(3024, 4032, None).windows)


@pytest.mark.parametrize("size", [(40, 50), (700, 710), (900, 1300)])
def test_tiles_give_the_whole_pictures_restoration(size: tuple[int, int]) -> None:
    """With the exact blur there is no seam: what tiles make is what the whole picture becomes."""
    answer = answer_to(picture_of(pictures.dark_scene("coffee", size)))
    inner = slice(8, -8), slice(8, -8)
    whole = blurred(answer.pixels())[inner]
    assert np.abs(restored(answer)[inner] / np.float32(255) - whole).max() <= 0.51 / 255


def test_what_lies_beyond_the_border_is_a_reflection() -> None:
    answer = answer_to(picture_of(pictures.dark_scene("coffee", (40, 48))))
    assert np.abs(restored(answer) / np.float32(255) - blurred(answer.pixels())).max() <= 0.51 / 255
    odd = answer_to(picture_of(pictures.dark_scene("coffee", (41, 49))))
    assert np.abs(restored(odd) / np.float32(255) - blurred(odd.pixels())).max() <= 0.51 / 255


def test_our_network_has_no_seam() -> None:
    """The restorer at random weights, louder than trained ones: tiles and the whole agree away from borders."""
    torch.manual_seed(0)
    network = Restorer().eval()

    def correction(tensors: dict[str, NDArray[np.uint8]]) -> NDArray[np.float32]:
        pair = np.concatenate([tensors["answer"], tensors["image"]], axis=3).transpose(0, 3, 1, 2)
        with torch.inference_mode():
            pair = torch.from_numpy(pair.astype(np.float32) / 255)
            return (network(pair) - pair[:, :3])[0].numpy().transpose(1, 2, 0)

    size = (128, 992)
    answer = answer_to(picture_of(pictures.dark_scene("coffee", size)))
    restoration = restoration_of(answer, plan_restoration(*size, None), None)
    assert len(restoration.plan.windows) == 2
    for window in restoration.plan.windows:
        restoration.add(window, correction(restoration.inputs(window)))
    photo = answer.prepared.picture.pixels
    whole = answer.pixels() / np.float32(255) + correction({"answer": answer.pixels()[None], "image": photo[None]})
    assert np.abs(restoration.pixels / np.float32(255) - np.clip(whole, 0, 1)).max() <= 1 / 255


def test_strength_is_a_share_of_the_correction() -> None:
    answer = answer_to(picture_of(grainy((64, 80))))
    full, half = (restored(answer, strength=share).astype(float) for share in (1.0, 0.5))
    assert np.abs(half - (full + answer.pixels()) / 2).max() <= 1
    np.testing.assert_array_equal(restored(answer, strength=0.0), answer.pixels())


def test_a_clean_photo_shows_no_noise() -> None:
    clean = cv2.GaussianBlur(pictures.scene("coffee", (400, 600)) // 4, (0, 0), 2)
    noise = visible_noise(answer_to(picture_of(clean)))
    assert not noise.any()
    assert plan_restoration(400, 600, noise).windows == ()


def test_visible_noise_is_what_the_network_makes_visible() -> None:
    faint = grainy((400, 600), deviation=1.5)
    assert not visible_noise(answer_to(picture_of(faint), curve(lambda value: value))).any()
    assert visible_noise(answer_to(picture_of(faint), curve(lambda value: 5 * value))).min() > 0.9
    assert visible_noise(answer_to(picture_of(np.rint(faint * 257.0).astype(np.uint16)))).shape


def half_noisy(size: tuple[int, int]) -> NDArray[np.uint8]:
    pixels = grainy(size, deviation=8)
    pixels[:, : size[1] // 2] = 40
    return pixels


def test_half_a_noisy_photo_is_restored_without_an_edge_in_its_grain() -> None:
    """Tiles of the quiet half are left out; where the weight falls, grain comes back slowly, not at once."""
    size = (640, 3000)
    answer = answer_to(picture_of(half_noisy(size)))
    noise = visible_noise(answer)
    restoration = restoration_of(answer, plan_restoration(*size, noise), noise)
    assert 2 <= len(restoration.plan.windows) < len(plan_restoration(*size, None).windows)
    bring(restoration)
    result, before = restoration.pixels.astype(float), answer.pixels().astype(float)
    np.testing.assert_array_equal(result[:, :1400], before[:, :1400])
    grain = result[:, 1504:2992].reshape(640, -1, 16, 3).std(axis=(0, 2, 3))
    untouched = before[:, 1504:2992].std()
    assert grain[-10:].mean() < 0.3 * untouched
    assert grain.max() < 0.5 * untouched  # noise goes up to its edge
    assert np.abs(np.diff(grain)).max() < 0.1 * untouched


def test_no_step_at_a_tile_that_is_left_out() -> None:
    """What is restored beside a tile that is not has the weight 0 at their border."""
    height, width = 640, 3000
    noise = np.zeros((40, 188), np.float32)
    noise[:, 100:] = np.minimum(1, np.arange(88) / 20)
    kept = plan_restoration(height, width, noise)
    first = min(window.columns.keep_start for window in kept.windows)
    assert first > 0
    assert is_zero(noise, (height, width), slice(0, height), slice(0, first))
    assert stretched(noise, (height, width), slice(0, height), slice(first - 1, first)).max() == 0
    assert stretched(noise, (height, width), slice(0, height), slice(first, first + 1)).max() < 0.02


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    shape=st.tuples(st.integers(16, 90), st.integers(16, 90)),
    seed=st.integers(0, 99),
)
def test_a_part_of_a_stretched_map_is_that_of_the_whole(
    size: tuple[int, int], shape: tuple[int, int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    values = random.random(size, np.float32) * (random.random(size) > 0.6)
    whole = cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(shape)
    rows, columns = slice(3, 11), slice(5, 16)
    part = stretched(values, shape, rows, columns)
    if size[0] <= shape[0] and size[1] <= shape[1]:
        np.testing.assert_allclose(part, whole[rows, columns], atol=2e-5)
    assert is_zero(values, shape, rows, columns) <= (not part.any())


@pytest.mark.parametrize("scale", [2, 4])
def test_a_smaller_size_takes_coarse_grain_and_leaves_fine_grain(scale: int) -> None:
    size = (902, 1301)
    coarse = cv2.resize(grainy((226, 326), deviation=14), size[::-1], interpolation=cv2.INTER_CUBIC)
    fine = grainy(size)
    for pixels, lowest, highest in ((coarse, 0.0, 0.75), (fine, 0.75, 1.01)):
        answer = answer_to(picture_of(pixels))
        result = restored(answer, scale=scale)
        assert result.shape == (*size, 3)
        assert lowest <= result.std() / answer.pixels().std() <= highest
    even = restored(answer_to(picture_of(pictures.constant(40, size))), scale=scale)
    assert (even == 80).all()


def test_8_and_16_bits_agree() -> None:
    dark, bright = grainy((300, 800)), 2 * grainy((300, 800))
    results = []
    for factor, dtype in ((1, np.uint8), (257, np.uint16)):
        photo, answer = (codes.astype(dtype) * dtype(factor) for codes in (dark, bright))
        restoration = Restoration(picture_of(photo), answer, plan_restoration(300, 800, None), None)
        bring(restoration)
        assert restoration.pixels.dtype == dtype
        results.append(restoration.pixels / factor)
    assert np.abs(results[0] - results[1]).max() <= 0.51
    guided = replace(NEUTRAL, detail=Detail.GUIDED)
    shallow, deep = (
        restored(answer_to(picture_of(codes), options=guided)) for codes in (dark, dark * np.uint16(257))
    )
    assert np.abs(deep[8:-8, 8:-8] / 257 - shallow[8:-8, 8:-8]).max() <= 2


def test_16_bits_keep_their_depth() -> None:
    ramp = np.linspace(9000, 12000, 400 * 300).reshape(300, 400, 1).astype(np.uint16)
    result = restored(answer_to(picture_of(np.repeat(ramp, 3, axis=2))))
    assert len(np.unique(result)) > 4 * len(np.unique(result >> 8))


def test_grey_stays_grey() -> None:
    grey = np.repeat(grainy((200, 300))[..., :1], 3, axis=2)
    result = restored(answer_to(picture_of(grey, is_grey=True)))
    assert (result == result[..., :1]).all()
    colour = restored(answer_to(picture_of(grey)))
    assert np.abs(result.astype(int) - colour).max() <= 1


def test_a_profile_gets_the_correction_in_its_own_space() -> None:
    """The picture that is shown is the one that the restorer made; where it changes nothing, nothing changes."""
    picture = picture_of(grainy((200, 304)), icc=rgb_profile())
    answer = answer_to(picture)
    restoration = restoration_of(answer, plan_restoration(200, 304, None), None)
    (window,) = restoration.plan.windows
    shown = restoration.inputs(window)["answer"][0]
    restoration.add(window, np.zeros(shown.shape, np.float32))
    np.testing.assert_array_equal(restoration.pixels, answer.pixels())
    goal = blurred(shown)
    result = picture.srgb(restored(answer)) / np.float32(255)
    assert np.abs(result - goal).mean() < 0.15 * np.abs(shown / np.float32(255) - goal).mean()


def test_hidden_colours_do_not_leak() -> None:
    pixels = grainy((96, 128))
    alpha = np.full((96, 128), 255, np.uint8)
    alpha[:, 64:] = 0
    results = []
    for hidden in (0, 255):
        filled = pixels.copy()
        filled[:, 64:] = hidden
        results.append(restored(answer_to(picture_of(filled, alpha=alpha)))[:, :64])
    np.testing.assert_array_equal(*results)


def test_options_act_on_the_restored_answer() -> None:
    """out = x + strength (r - x), r being the restored answer; gamma acts on it, too."""
    picture = picture_of(grainy((64, 80)))
    answer = answer_to(picture)
    layer = restored(answer)

    def rendered(options: RenderOptions) -> Codes:
        rows = begin_answer(answer, options, layer).rows
        assert rows is not None
        return rows.make_all()

    np.testing.assert_array_equal(rendered(NEUTRAL), layer)
    half = rendered(replace(NEUTRAL, strength=0.5)).astype(float)
    assert np.abs(half - (picture.pixels.astype(float) + layer) / 2).max() <= 0.51
    darker = rendered(replace(NEUTRAL, gamma=1.5))
    assert np.abs(darker - 255 * (layer / 255) ** 1.5).max() <= 0.51
    protected = rendered(replace(NEUTRAL, protect=1.0)).astype(float)
    assert np.abs(protected - picture.pixels).mean() < np.abs(layer.astype(float) - picture.pixels).mean()


def test_a_wrong_correction_is_refused() -> None:
    answer = answer_to(picture_of(grainy((64, 80))))
    restoration = restoration_of(answer, plan_restoration(64, 80, None), None)
    (window,) = restoration.plan.windows
    with pytest.raises(EngineFailed, match=r"\[8, 8, 3\] for a tile of \[64, 80, 3\]"):
        restoration.add(window, np.zeros((8, 8, 3), np.float32))
    with pytest.raises(EngineFailed, match="not finite"):
        restoration.add(window, np.full((64, 80, 3), np.nan, np.float32))
