"""The decision how a picture meets a network, as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.contract import MapLayout
from service.errors import InvalidParameter, UnsupportedShape
from service.rendering import Detail, RenderOptions, plan
from service.rendering._plan import ASPECT_RATIOS, MAX_DISTORTION, proxy_shape, tile_spans
from service.repository import ModelTraits, SpatialScope

LOCAL = ModelTraits("zero_dce", SpatialScope.LOCAL, halo=7, working_side=256, max_pixels=600 * 400)
GLOBAL = ModelTraits("exdnet", SpatialScope.GLOBAL, working_side=600, max_pixels=600 * 400)


@pytest.mark.parametrize(
    ("asked", "width", "height", "bits", "label", "through_map"),
    [
        ("auto", 600, 400, 8, "whole", False),
        ("auto", 601, 400, 8, "guided", True),
        ("auto", 4000, 3000, 8, "guided", True),
        ("auto", 600, 400, 16, "whole-affine", True),
        ("auto", 4000, 3000, 16, "guided", True),
        ("whole", 4000, 3000, 8, "whole", False),
        ("whole", 4000, 3000, 16, "whole-affine", True),
        ("guided", 100, 80, 8, "guided", True),
        ("tiles", 4000, 3000, 8, "tiles", False),
        ("tiles", 4000, 3000, 16, "tiles-affine", True),
        ("tiles", 100, 80, 8, "tiles", False),
    ],
)
def test_detail(asked: str, width: int, height: int, bits: int, label: str, through_map: bool) -> None:
    decided = plan(width, height, bits, LOCAL, RenderOptions(detail=Detail(asked)))
    assert decided.label == label
    assert decided.through_map is through_map
    assert decided.detail is not Detail.AUTO
    assert len(decided.item_pixels) == len(decided.item_shapes) > 0
    if decided.detail is Detail.WHOLE:
        assert decided.item_pixels == (width * height,)


@pytest.mark.parametrize(
    ("width", "height", "proxy"),
    [
        (4000, 3000, (192, 256)),  # 4:3
        (3000, 4000, (256, 192)),  # its portrait
        (4032, 3024, (192, 256)),  # another camera's 4:3 shares the shape
        (6000, 4000, (168, 256)),  # 3:2; 170.7 is nearest to 168
        (600, 400, (168, 256)),
        (1920, 1080, (144, 256)),  # 16:9
        (1000, 1000, (256, 256)),
        (1280, 1024, (208, 256)),  # 5:4
        (2000, 1000, (128, 256)),
        (2200, 1000, (128, 256)),  # 10 % from 2:1
        (2300, 1000, (112, 256)),  # 15 % from it: a shape of its own
        (8000, 1000, (32, 256)),
        (200, 150, (144, 200)),  # never larger than the picture
        (203, 101, (96, 200)),
        (40, 23, (16, 40)),
        (16, 16, (16, 16)),
    ],
)
def test_proxy(width: int, height: int, proxy: tuple[int, int]) -> None:
    assert proxy_shape(width, height, 256) == proxy
    assert plan(width, height, 8, LOCAL, RenderOptions(detail=Detail.GUIDED)).item_shapes == (proxy,)


def test_all_common_pictures_share_few_proxies() -> None:
    shapes = {proxy_shape(width, 1000, 256) for width in range(1000, 2240)}
    assert len(shapes) == len(ASPECT_RATIOS)


def test_proxies_are_never_distorted_much_and_never_larger_than_the_picture() -> None:
    for width in range(16, 900, 7):
        for height in range(16, 900, 11):
            if max(width, height) > 8 * min(width, height):
                continue
            rows, columns = proxy_shape(width, height, 256)
            assert rows <= height
            assert columns <= width
            assert rows % 8 == columns % 8 == 0
            if min(width, height) >= 128:
                distortion = (columns / rows) / (width / height)
                rounding = 4 / min(rows, columns) + 8 / max(width, height)
                assert abs(distortion - 1) <= MAX_DISTORTION + rounding


@pytest.mark.parametrize("detail", ["auto", "whole", "guided", "tiles"])
@pytest.mark.parametrize(("width", "height"), [(15, 400), (400, 15), (1, 1)])
def test_narrow_pictures_are_refused(detail: str, width: int, height: int) -> None:
    with pytest.raises(UnsupportedShape, match=f"{width} x {height}.*at least 16"):
        plan(width, height, 8, LOCAL, RenderOptions(detail=Detail(detail)))


@pytest.mark.parametrize(
    ("width", "height", "proxy"),
    [
        (900, 100, (32, 256)),
        (100, 900, (256, 32)),
        (4096, 256, (16, 256)),  # 16:1
        (25_600, 256, (16, 256)),
        (16, 20_000, (256, 16)),
        (16, 200, (200, 16)),
    ],
)
def test_long_pictures_have_proxies_of_sixteen_pixels_at_least(
    width: int, height: int, proxy: tuple[int, int]
) -> None:
    """Also for models that are shown proxies alone, as those are that answer with a map."""
    traits = replace(GLOBAL, map_layout=MapLayout.BASE_AND_CLEAN_DETAIL, max_pixels=0, working_side=256)
    decided = plan(width, height, 8, traits, RenderOptions())
    assert (decided.proxy, decided.output) == (proxy, "affine")
    assert decided.light is not None
    assert [fine % coarse for fine, coarse in zip(decided.light, proxy, strict=True)] == [0, 0]
    assert decided.light[0] <= height
    assert decided.light[1] <= width
    assert plan(width, height, 8, LOCAL, RenderOptions(detail=Detail.WHOLE)).label == "whole"


def test_tiles_of_a_global_network_are_refused_with_the_reason() -> None:
    with pytest.raises(InvalidParameter, match=r"exdnet depends on the whole picture.*guided"):
        plan(4000, 3000, 8, GLOBAL, RenderOptions(detail=Detail.TILES))


def test_models_that_predict_the_map_are_asked_for_it_by_guided_rendering_alone() -> None:
    traits = replace(GLOBAL, map_layout=MapLayout.MATRIX_AND_OFFSET)
    assert plan(4000, 3000, 8, traits, RenderOptions()).output == "affine"
    assert plan(400, 300, 8, traits, RenderOptions()).output == "enhanced"
    assert plan(4000, 3000, 8, GLOBAL, RenderOptions()).output == "enhanced"


def test_light_is_taken_on_a_grid_as_fine_as_the_picture_allows() -> None:
    traits = replace(GLOBAL, map_layout=MapLayout.BASE_AND_DETAIL, working_side=256)
    grids = {
        size: plan(*size, 8, traits, RenderOptions(detail=Detail.GUIDED)).light
        for size in ((300, 200), (600, 400), (1200, 900), (2000, 1500), (4000, 3000), (3000, 4000), (801, 101))
    }
    assert grids == {
        (300, 200): (168, 256),
        (600, 400): (168, 256),
        (1200, 900): (384, 512),
        (2000, 1500): (576, 768),
        (4000, 3000): (768, 1024),
        (3000, 4000): (1024, 768),
        (801, 101): (32, 256),
    }
    assert plan(4000, 3000, 8, replace(traits, map_layout=MapLayout.MATRIX_AND_OFFSET), RenderOptions()).light is None
    assert plan(40, 30, 8, traits, RenderOptions()).light is None


@pytest.mark.parametrize("multiple", [1, 4, 16])
@pytest.mark.parametrize("halo", [0, 7, 8])
@pytest.mark.parametrize("length", [40, 63, 64, 65, 100, 257, 1000])
def test_tile_spans(length: int, halo: int, multiple: int) -> None:
    spans = tile_spans(length, 64, halo, multiple)
    covered = [pixel for span in spans for pixel in range(span.keep_start, span.keep_stop)]
    assert covered == list(range(length))
    assert spans[0].start == 0
    assert spans[-1].stop == length
    for span in spans:
        assert span.start % multiple == 0
        assert span.length <= 64
        assert span.start == 0 or span.keep_start - span.start >= halo
        assert span.stop == length or span.stop - span.keep_stop >= halo
    if multiple == 1:
        assert len({span.length for span in spans}) == 1


def test_tiles_fit_the_largest_whole_pass_and_share_one_shape() -> None:
    decided = plan(4000, 3000, 8, LOCAL, RenderOptions(detail=Detail.TILES))
    assert len(set(decided.item_shapes)) == 1
    assert max(decided.item_pixels) <= LOCAL.max_pixels
    assert sum(decided.item_pixels) < 1.3 * 12_000_000


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strength": 1.01}, "strength is 1.01; allowed is 0 to 1"),
        ({"strength": -0.1}, "strength is -0.1; allowed is 0 to 1"),
        ({"protect": 2.0}, "protect is 2.0; allowed is 0 to 1"),
        ({"gamma": 0.29}, "gamma is 0.29; allowed is 0.3 to 3"),
        ({"gamma": 3.5}, "gamma is 3.5; allowed is 0.3 to 3"),
        ({"gamma": float("nan")}, "gamma is nan; allowed is 0.3 to 3"),
        ({"exposure": 2.1}, "exposure is 2.1; allowed is -2 to 2"),
        ({"shadows": -1.5}, "shadows is -1.5; allowed is -1 to 1"),
        ({"detail": "best"}, "detail is 'best'; allowed are auto, whole, guided, tiles"),
    ],
)
def test_options_out_of_range(values: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        RenderOptions(**values)  # type: ignore[arg-type]
    assert caught.value.detail == message


def test_options_take_details_by_name() -> None:
    assert RenderOptions(detail="tiles").detail is Detail.TILES  # type: ignore[arg-type]
