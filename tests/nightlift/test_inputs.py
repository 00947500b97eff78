"""What clients take and give: paths, bytes, files, arrays and PIL images in; data, image, array and files out."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nightlift import AsyncClient, Client, Enhanced, ServiceError, enhance
from nightlift._inputs import as_file, png_of_array
from service.pictures import decode
from tests.docs.documents import ROOT
from tests.nightlift.commands import environment
from tests.pictures import dark_scene, encoded
from tests.repositories import brightened, make_repository
from tests.servers import Server, serving

PICTURE = dark_scene(size=(48, 64))
EXACT: dict[str, Any] = {"protect": 0.0, "gate": False, "detail": "whole"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("inputs")
    with serving(make_repository(folder / "models"), folder, default_model="brighten") as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "photo.png").write_bytes(encoded(PICTURE))
    return tmp_path / "photo.png"


WAYS: dict[str, Callable[[Path], Any]] = {
    "path": lambda path: path,
    "text": str,
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "file": lambda path: path.open("rb"),
    "buffer": lambda path: io.BytesIO(path.read_bytes()),
    "array": lambda _: PICTURE,
    "strided array": lambda _: np.repeat(PICTURE, 2, axis=1)[:, ::2],
    "image": Image.open,
}


@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_input_gives_the_same_picture(server: Server, path: Path, way: str) -> None:
    given = WAYS[way](path)
    with Client(server.url) as client:
        answer = client.enhance(given, **EXACT)
    np.testing.assert_array_equal(answer.array, brightened(PICTURE))

    async def ask() -> Enhanced:
        async with AsyncClient(server.url) as client:
            return await client.enhance(WAYS[way](path), **EXACT)

    assert asyncio.run(ask()).data == answer.data
    if hasattr(given, "close"):
        given.close()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_arrays_become_pngs_that_lose_nothing(bits: int, channels: int) -> None:
    kind = np.uint8 if bits == 8 else np.uint16
    pixels = np.random.default_rng(0).integers(0, 2**bits, (20, 30, channels)[: 3 if channels else 2], kind)
    for given in (pixels, pixels.astype(np.dtype(kind).newbyteorder(">"))):
        picture = decode(png_of_array(given))
        backends = pixels[..., None] if channels == 0 else pixels
        colour = backends[..., :3]
        assert picture.pixels.dtype == kind
        np.testing.assert_array_equal(picture.pixels, np.broadcast_to(colour, (20, 30, 3)))
        assert picture.is_grey == (channels < 3)
        assert (picture.alpha is not None) == (channels == 4)
        if picture.alpha is not None:
            np.testing.assert_array_equal(picture.alpha, pixels[..., 3])


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (np.zeros((4, 4, 3)), ValueError, "uint8 or uint16, not float64"),
        (np.zeros((4, 4, 2), np.uint8), ValueError, r"not \[4, 4, 2\]"),
        (np.zeros(4, np.uint8), ValueError, r"not \[4\]"),
        (io.StringIO("text"), TypeError, "open it in binary"),
        (42, TypeError, "not int"),
    ],
)
def test_other_kinds_are_named(given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        as_file(given)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "1", "CMYK", "YCbCr", "HSV"])
def test_images_of_any_mode_are_sent_as_they_are_shown(mode: str) -> None:
    image = Image.fromarray(PICTURE).convert(mode)
    sent = as_file(image)
    assert isinstance(sent, bytes)
    shown = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(decode(sent).pixels - shown).max() <= 1


def test_an_image_keeps_profile_and_exif_and_is_not_turned() -> None:
    image = Image.fromarray(PICTURE)
    exif = image.getexif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    image.info["icc_profile"] = encoded_profile()
    sent = as_file(image)
    assert isinstance(sent, bytes)
    answer = Image.open(io.BytesIO(sent))
    assert answer.size == image.size
    assert answer.getexif().get(0x010F) == "Maker"
    assert 0x0112 not in answer.getexif()
    assert answer.info["icc_profile"] == image.info["icc_profile"]


def encoded_profile() -> bytes:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_answers_are_pictures_arrays_and_files(server: Server, path: Path, tmp_path: Path) -> None:
    with Client(server.url.removeprefix("http://")) as client:  # no scheme
        answer = client.enhance(path, format="jpeg")
        deep = client.enhance(PICTURE.astype(np.uint16) * 257)
    assert answer.image.size == (64, 48)
    assert answer.image.format == "JPEG"
    assert deep.array.dtype == np.uint16
    assert deep.array.shape == (48, 64, 3)
    assert answer.save(tmp_path / "bright.jpg").read_bytes() == answer.data
    assert answer.save(str(tmp_path / "without_suffix")).read_bytes() == answer.data
    with pytest.raises(ValueError, match=r"bright\.png has the suffix of a png file but the answer is jpeg"):
        answer.save(tmp_path / "bright.png")
    assert repr(answer).startswith("<Enhanced jpeg of ")
    assert len(repr(answer)) < 120
    with pytest.warns(DeprecationWarning, match="timings"):
        assert answer.seconds == answer.timings


def test_pictures_are_enhanced_without_a_server(tmp_path: Path, path: Path) -> None:
    repository = make_repository(tmp_path / "models")
    script = (
        "import sys, numpy as np\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from nightlift import enhance\n"
        "exact = dict(protect=0, gate=False, detail='whole')\n"
        "with ThreadPoolExecutor(4) as threads:\n"
        "    answers = list(threads.map(lambda _: enhance(sys.argv[1], **exact), range(8)))\n"
        "np.save('out.npy', np.stack([answer.array for answer in answers]))\n"
        "print(answers[0].model, answers[0].request_id == '')\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        cwd=tmp_path,
        env=environment(repository, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert (outcome.stdout.strip(), outcome.stderr) == ("brighten True", "")
    for pixels in np.load(tmp_path / "out.npy"):
        np.testing.assert_array_equal(pixels, brightened(PICTURE))


def test_refusals_without_a_server_are_those_of_a_service() -> None:
    with pytest.raises(ServiceError) as caught:
        enhance(b"this is not a picture")
    assert (caught.value.status, caught.value.slug) == (400, "unreadable-picture")
    with pytest.raises(ValueError, match="model 'nobody' not found"):
        enhance(PICTURE, model="nobody")


USE = """
import asyncio
from pathlib import Path
import numpy as np
import PIL.Image
from nightlift import AsyncClient, Client, Enhanced, ServiceError, enhance

def use(client: Client) -> Enhanced:
    client.enhance("photo.jpg", strength=0.5).save("bright.jpg")
    client.enhance(Path("photo.jpg"), format="png")
    with open("photo.jpg", "rb") as file:
        client.enhance(file)
    deep: np.ndarray[tuple[int, ...], np.dtype[np.uint16]] = np.zeros((20, 30, 3), np.uint16)
    client.enhance(deep)
    image: PIL.Image.Image = client.enhance(PIL.Image.open("photo.jpg")).image
    image.show()
    timings = enhance(b"").timings
    print(timings["infer"] + 1)
    return client.enhance(b"")

async def ask(client: AsyncClient) -> bytes:
    return (await client.enhance("photo.jpg")).data

try:
    asyncio.run(ask(AsyncClient("localhost:8000")))
except ServiceError as error:
    print(error.slug.upper())
"""


def check_types(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """mypy, strict, on a file in another folder that uses the client."""
    (folder / "use.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", "use.py"]
    environment = os.environ | {"MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_types_hold_in_strict_mode_from_outside(tmp_path: Path) -> None:
    assert (ROOT / "nightlift/py.typed").exists()
    outcome = check_types(tmp_path, USE)
    assert outcome.returncode == 0, outcome.stdout
    wrong = USE.replace("strength=0.5", 'strength="much"').replace('("photo.jpg")).data', "(3)).data")
    told = check_types(tmp_path, wrong).stdout
    assert 'Argument "strength"' in told
    assert 'Argument 1 to "enhance" of "AsyncClient"' in told


def test_the_clients_import_httpx_and_nothing_of_the_service() -> None:
    script = "import sys; from nightlift import Client, AsyncClient; print(*sorted(sys.modules))"
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = {name.partition(".")[0] for name in outcome.stdout.split()}
    assert "httpx" in loaded
    assert not loaded & {"service", "numpy", "PIL", "cv2", "onnxruntime", "pydantic", "grpc", "typer", "torch"}
    of_ours = {name for name in outcome.stdout.split() if name.startswith("nightlift.")}
    assert of_ours == {"nightlift.client", "nightlift._answers", "nightlift._inputs"}
