"""Restoration in the pipeline: when it happens, at what size, and what becomes of it when something goes wrong."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from service.contract import RESTORER_HALO
from service.enhancement import Enhanced, EnhanceOptions
from service.errors import EngineFailed, InvalidParameter, ModelNotReady
from service.inference import LoadedModel, ModelState
from service.pictures import decode
from service.rendering import plan_restoration
from service.restoring import Denoise, choose
from service.runtime import Runtime
from service.settings import Settings
from tests import pictures
from tests.pictures import encoded
from tests.repositories import brightened, make_repository
from tests.restorers import NOT_FINITE, SIDE, blurred, make_restorer

EDGE = SIDE // 2 + 1
SIZE = (600, 800)
NEUTRAL: dict[str, Any] = {"protect": 0, "gate": False}


def grainy(size: tuple[int, int] = SIZE, seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 8, (*size, 3))
    return np.clip(np.rint(40 + noise), 0, 255).astype(np.uint8)


def clean(size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    return cv2.GaussianBlur(pictures.scene("coffee", size) // 4, (0, 0), 2)


@asynccontextmanager
async def service(repository: Path, **settings: Any) -> AsyncIterator[Runtime]:
    chosen = Settings(model_repository=repository, default_model="brighten", cpu_threads=1, **settings)
    async with Runtime(chosen) as runtime:
        await runtime.loaded()
        yield runtime


async def enhance(
    runtime: Runtime, pixels: NDArray[Any], denoise: Denoise = "auto", **options: Any
) -> tuple[NDArray[Any], Enhanced]:
    wanted = EnhanceOptions(**{**NEUTRAL, "denoise": denoise, **options})
    answer = await runtime.enhance(encoded(pixels), wanted)
    return decode(answer.data).pixels, answer


def run(repository: Path, test: Callable[[Runtime], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def inside() -> None:
        async with service(repository, **settings) as runtime:
            await test(runtime)

    asyncio.run(inside())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_restorer(make_repository(tmp_path, max_pixels=4_000_000))


async def until_working(restorer: LoadedModel) -> None:
    """Until a request's tiles are under way."""
    for _ in range(20_000):
        if restorer.intake.working:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("no tile was ever sent")


def assert_restored(result: NDArray[Any], photo: NDArray[np.uint8]) -> None:
    whole = 255 * blurred(brightened(photo))
    assert np.abs(result - whole)[EDGE:-EDGE, EDGE:-EDGE].max() <= 1


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_noisy_photo_is_restored_and_a_clean_one_is_left_alone(repository: Path, isolation: str) -> None:
    async def test(runtime: Runtime) -> None:
        for denoise in (1.0, "auto"):
            result, answer = await enhance(runtime, grainy(), denoise)
            assert_restored(result, grainy())
            assert (answer.denoise, answer.denoise_scale, answer.restored) == (denoise, 1, 1)
            assert answer.timings.seconds["restore"] > 0
        plain, untouched = await enhance(runtime, clean(), 0)
        result, answer = await enhance(runtime, clean())
        np.testing.assert_array_equal(result, plain)
        assert (answer.denoise_scale, answer.restored) == (0, 0)
        assert "restore" not in untouched.timings.seconds
        result, answer = await enhance(runtime, clean(), 0.5)
        assert answer.restored == 1
        assert np.abs(result - (plain + 255 * blurred(plain)) / 2)[EDGE:-EDGE, EDGE:-EDGE].max() <= 1
        text = runtime.metrics.expose()[0].decode()
        assert 'nightlift_restored_tiles_total{model="nightlift_restorer"} 6.0' in text
        assert "nightlift_restored_ratio_count 4.0" in text
        assert 'nightlift_stage_duration_seconds_count{model="brighten",stage="restore"} 4.0' in text

    run(repository, test, engine_isolation=isolation)


def test_half_a_noisy_photo(repository: Path) -> None:
    photo = grainy((320, 2400))
    photo[:, :1200] = 40

    async def test(runtime: Runtime) -> None:
        result, answer = await enhance(runtime, photo)
        assert 0.3 < answer.restored < 0.8
        np.testing.assert_array_equal(result[:, :1000], brightened(photo)[:, :1000])
        assert result[:, -200:].std() < 0.3 * brightened(photo)[:, -200:].std()

    run(repository, test)


def test_options_act_after_it(repository: Path) -> None:
    async def test(runtime: Runtime) -> None:
        full, _ = await enhance(runtime, grainy(), 1)
        half, _ = await enhance(runtime, grainy(), 1, strength=0.5)
        assert np.abs(half - (full.astype(float) + grainy()) / 2).max() <= 1
        same, answer = await enhance(runtime, grainy(), 1, strength=0)
        np.testing.assert_array_equal(same, grainy())
        assert answer.restored == 0

    run(repository, test)


def test_16_bits_through_the_service(repository: Path) -> None:
    async def test(runtime: Runtime) -> None:
        shallow, _ = await enhance(runtime, grainy(), 1, detail="guided")
        deep = cv2.imencode(".png", grainy().astype(np.uint16)[..., ::-1] * 257)[1].tobytes()
        options = EnhanceOptions(**NEUTRAL, denoise=1, detail="guided")
        result = decode((await runtime.enhance(deep, options)).data).pixels
        assert result.dtype == np.uint16
        assert np.abs(result / 257 - shallow)[EDGE:-EDGE, EDGE:-EDGE].max() <= 2

    run(repository, test)


@pytest.mark.parametrize("setting", ["nightlift_restorer", ""])
def test_without_a_restorer_auto_does_nothing_and_a_share_is_refused(tmp_path: Path, setting: str) -> None:
    repository = make_repository(tmp_path, max_pixels=4_000_000)
    if not setting:
        make_restorer(repository)

    async def test(runtime: Runtime) -> None:
        result, answer = await enhance(runtime, grainy())
        np.testing.assert_array_equal(result, brightened(grainy()))
        assert (answer.denoise, answer.denoise_scale, answer.restored) == ("auto", 0, 0)
        with pytest.raises(InvalidParameter, match=r"denoise is 0.5, but there is no model here .* 0 and auto"):
            await enhance(runtime, grainy(), 0.5)
        assert (await enhance(runtime, grainy(), 0))[1].restored == 0

    run(repository, test, restorer=setting)


def test_a_restorer_that_is_not_loaded(repository: Path) -> None:
    async def test(runtime: Runtime) -> None:
        await runtime.models.unload("nightlift_restorer")
        assert (await enhance(runtime, grainy()))[1].restored == 0
        with pytest.raises(ModelNotReady, match="nightlift_restorer"):
            await enhance(runtime, grainy(), 1)
        await runtime.models.load("nightlift_restorer")
        assert (await enhance(runtime, grainy()))[1].restored == 1

    run(repository, test, models=("brighten",))


def test_a_model_with_other_tensors_is_no_restorer(tmp_path: Path) -> None:
    repository = make_repository(tmp_path, ("brighten", "nightlift_restorer"))

    async def test(runtime: Runtime) -> None:
        (line,) = [line for line in runtime.models.index() if line.name == "nightlift_restorer"]
        assert line.state is ModelState.UNAVAILABLE
        assert "'answer' and 'image', UINT8 [N, H, W, 3]" in line.reason
        assert (await enhance(runtime, grainy()))[1].restored == 0

    run(repository, test)


def test_a_restorer_that_breaks_costs_nobody_the_picture(tmp_path: Path) -> None:
    repository = make_restorer(make_repository(tmp_path, max_pixels=4_000_000), graph=NOT_FINITE)

    async def test(runtime: Runtime) -> None:
        result, answer = await enhance(runtime, grainy())
        np.testing.assert_array_equal(result, brightened(grainy()))
        assert answer.restored == 0
        with pytest.raises(EngineFailed, match="not finite"):
            await enhance(runtime, grainy(), 1)
        restorer = runtime.find_restorer()
        assert restorer is not None
        assert restorer.intake.working == 0

    run(repository, test)


@pytest.mark.parametrize(("most", "scale"), [(480_000, 1), (479_999, 0.5), (119_999, 0.25), (29_999, 0)])
@pytest.mark.parametrize("denoise", ["auto", 1.0])
def test_the_setting_bounds_what_is_restored(repository: Path, most: int, scale: float, denoise: Denoise) -> None:
    async def test(runtime: Runtime) -> None:
        _, answer = await enhance(runtime, grainy(), denoise)
        assert answer.denoise_scale == scale
        assert answer.restored == (scale > 0)

    run(repository, test, max_restored_pixels=most)


@pytest.mark.parametrize(("seconds", "scale"), [(10, 1), (100, 0.5), (1000, 0)])
def test_auto_takes_less_where_there_is_no_time(repository: Path, seconds: float, scale: float) -> None:
    """`seconds` are what the tiles of the photo at its full size are expected to take; 60 there are."""

    async def test(runtime: Runtime) -> None:
        restorer = runtime.find_restorer()
        assert restorer is not None
        costs = runtime.admission.capacity.costs
        pixels = plan_restoration(*SIZE, None).item_pixels
        costs.observe("network", restorer.intake.model, 1e6 * pixels, 1e6 * seconds)
        assert (await enhance(runtime, grainy()))[1].denoise_scale == scale

    run(repository, test)


def test_a_share_is_restored_whatever_it_costs(repository: Path) -> None:
    async def test(runtime: Runtime) -> None:
        restorer = runtime.find_restorer()
        assert restorer is not None
        runtime.admission.capacity.costs.observe("network", restorer.intake.model, 1e6, 1e6)
        assert (await enhance(runtime, grainy(), 1.0))[1].denoise_scale == 1

    run(repository, test)


def test_what_it_costs_is_learned_and_expected(repository: Path) -> None:
    async def test(runtime: Runtime) -> None:
        restorer = runtime.find_restorer()
        assert restorer is not None
        capacity, label = runtime.admission.capacity, restorer.intake.model
        seen: list[float] = []
        submit = restorer.queue.submit

        async def watched(*arguments: Any) -> Any:
            seen.append(capacity.backlog)
            return await submit(*arguments)

        restorer.queue.submit = watched  # type: ignore[method-assign]
        capacity.costs.observe("network", label, 1e12, 1e6)  # a second a megapixel
        before = capacity.costs.expected("request", "brighten/1")
        await enhance(runtime, grainy((600, 1500)), 1)
        assert len(seen) > 1
        assert max(seen) > 0.01
        assert capacity.costs.expected("request", "brighten/1") > before
        assert capacity.backlog == pytest.approx(0, abs=1e-9)

    run(repository, test)


def test_a_client_that_leaves_leaves_nothing_behind(repository: Path) -> None:
    async def test(runtime: Runtime) -> None:
        restorer = runtime.find_restorer()
        assert restorer is not None
        asking = asyncio.create_task(enhance(runtime, grainy((1200, 2000)), 1))
        await until_working(restorer)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (restorer.intake.working, runtime.admission.capacity.backlog) == (0, pytest.approx(0, abs=1e-9))
        await asyncio.sleep(0.05)
        assert not restorer.queue.waiting

    run(repository, test)


def test_a_reload_meanwhile_loses_no_request(repository: Path) -> None:
    async def test(runtime: Runtime) -> None:
        restorer = runtime.find_restorer()
        assert restorer is not None
        asking = asyncio.create_task(enhance(runtime, grainy((700, 1500)), 1))
        await until_working(restorer)
        await runtime.models.load("nightlift_restorer")
        assert runtime.find_restorer() is not restorer
        result, answer = await asking
        assert_restored(result, grainy((700, 1500)))
        assert answer.restored == 1

    run(repository, test)


def test_tiles_of_several_pictures_share_batches(repository: Path) -> None:
    config = repository / "nightlift_restorer/config.pbtxt"
    asked = "dynamic_batching { preferred_batch_size: [ 8 ] }"
    config.write_text(config.read_text().replace("dynamic_batching { }", asked))

    async def test(runtime: Runtime) -> None:
        restorer = runtime.find_restorer()
        assert restorer is not None
        run_at_once = restorer.engine.run

        async def run_slowly(*arguments: Any) -> Any:
            await asyncio.sleep(0.2)  # while the others come
            return await run_at_once(*arguments)

        restorer.engine.run = run_slowly  # type: ignore[method-assign]
        sizes = (576, 1200)
        photos = [grainy(sizes, seed) for seed in range(3)]
        answers = await asyncio.gather(*(enhance(runtime, photo, 1) for photo in photos))
        for photo, (result, _) in zip(photos, answers, strict=True):
            assert_restored(result, photo)
        text = runtime.metrics.expose()[0].decode()
        labels = '{model="nightlift_restorer"}'
        count, total = (
            float(
                next(
                    line for line in text.splitlines() if line.startswith(f"nightlift_batch_size_{name}{labels}")
                ).split()[1]
            )
            for name in ("count", "sum")
        )
        assert total > count

    run(repository, test)


def test_the_largest_size_that_fits_is_chosen_and_half_of_it_where_time_is_short() -> None:
    plans = [plan_restoration(1000, 2000, None, scale) for scale in (1, 2, 4)]
    assert [plan.pixels for plan in plans] == [2_000_000, 500_000, 125_000]
    always, never = (lambda _: True), (lambda _: False)
    assert choose(plans, math.inf, always) is plans[0]
    assert choose(plans, 1_999_999, always) is plans[1]
    assert choose(plans, 200_000, always) is plans[2]
    assert choose(plans, 100_000, always) is None
    assert choose(plans, math.inf, never) is None
    assert choose(plans, math.inf, lambda plan: plan.scale >= 2) is plans[1]
    assert choose(plans, math.inf, lambda plan: plan.scale == 4) is None
    assert choose(plans, 1_999_999, lambda plan: plan.scale == 4) is plans[2]
    assert RESTORER_HALO == 32
