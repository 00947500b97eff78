"""Forms at `POST /enhance`: options beside the picture, parts without file names, and what is refused how."""

from __future__ import annotations

import base64
import io
import json

import httpx
import pytest
from PIL import Image

from service.enhancement import EnhanceOptions
from service.http._form_options import form_properties
from tests.pictures import dark_scene, encoded
from tests.service.http.test_enhance import problem
from tests.service.pictures.files import XMP, pillow_file

FILE = encoded(dark_scene(size=(48, 64)), "jpeg")


def form(*parts: tuple[bytes, bytes], end: bytes = b"--X--\r\n") -> dict:
    """A request with a form of these dispositions and contents."""
    body = b"".join(
        b"--X\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\n" + content + b"\r\n"
        for disposition, content in parts
    )
    return {"content": body + end, "headers": {"Content-Type": "multipart/form-data; boundary=X"}}


def test_options_count_in_a_form_as_in_the_query(client: httpx.Client) -> None:
    options = {"strength": "0.3", "format": "png", "model": "other", "gate": "false", "metadata": "strip"}
    query = client.post("/enhance", params=options, content=FILE)
    answer = client.post("/enhance", data=options, files={"image": FILE})
    assert answer.status_code == 200, answer.text
    assert answer.headers["nightlift-model"].startswith("other/")
    assert answer.content == query.content
    mixed = client.post(
        "/enhance", params={"strength": 0.3, "model": "other"}, data={"format": "png"}, files={"image": FILE}
    )
    assert Image.open(io.BytesIO(mixed.content)).format == "PNG"
    assert mixed.headers["nightlift-model"].startswith("other/")


@pytest.mark.parametrize(
    ("query", "fields", "named"),
    [
        ({}, {"strenght": "1"}, "'strenght', which is not an option; the options are model, version"),
        ({}, {"strength": "2"}, "strength: input should be less than or equal to 1"),
        ({}, {"format": "bmp"}, "format"),
        ({"strength": 1}, {"strength": "1"}, "strength is given in the query and in the form"),
        ({}, {"quality": ["80", "90"]}, "'quality' more than once"),
    ],
)
def test_wrong_options_of_a_form_are_named(client: httpx.Client, query: dict, fields: dict, named: str) -> None:
    response = client.post("/enhance", params=query, data=fields, files={"image": FILE})
    assert named in problem(response, 422, "invalid-parameter")["detail"]


@pytest.mark.parametrize(
    "disposition",
    [b'name="image"', b"name=image", b"name=\"image\"; filename*=utf-8''%C3%BC.jpg", b'name="image"; filename=""'],
)
def test_a_part_needs_no_file_name(client: httpx.Client, disposition: bytes) -> None:
    response = client.post("/enhance", params={"format": "png"}, **form((disposition, FILE)))
    assert response.status_code == 200, response.text
    assert response.content == client.post("/enhance", params={"format": "png"}, content=FILE).content


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (form((b'name="photo"', b"x")), "one file in the field 'image'; it holds 0, its fields are: photo"),
        (form((b'name="photo"; filename="a"', FILE * 2)), "'photo' is longer than 1024 bytes"),
        (form((b'name="image"', FILE), (b'name="image"', FILE)), "it holds 2"),
        (form((b'filename="a.jpg"', FILE)), "has no name"),
        (form(*((b'name="image"', b"x"),) * 40), "more than 32 parts"),
        (form((b'name="image"', FILE), end=b""), "ends before its last boundary"),
        (form((b'name="' + b"n" * 5000 + b'"', b"x")), "cannot be parsed"),
        ({"content": b"--X", "headers": {"Content-Type": "multipart/form-data"}}, "names no boundary"),
    ],
)
def test_broken_forms_are_told_what_is_wrong(client: httpx.Client, request_: dict, said: str) -> None:
    assert said in problem(client.post("/enhance", **request_), 400, "malformed-request")["detail"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps({"image": base64.b64encode(FILE).decode()}).encode(), "JSON"),
        (b"data:image/jpeg;base64," + base64.b64encode(FILE), "a data URL"),
        (b'  "' + base64.b64encode(FILE) + b'"', "JSON"),
    ],
)
def test_pictures_as_text_are_told_how_to_come(client: httpx.Client, body: bytes, kind: str) -> None:
    for request in ({"content": body}, form((b'name="image"', body))):
        detail = problem(client.post("/enhance", **request), 400, "unreadable-picture")["detail"]
        assert f"the body is {kind}" in detail
        assert "curl --data-binary @photo.jpg" in detail


@pytest.mark.parametrize(("name", "format"), [("jpg", "JPEG"), ("JPG", "JPEG"), ("tif", "TIFF"), ("jpeg", "JPEG")])
def test_common_names_of_formats_are_understood(client: httpx.Client, name: str, format: str) -> None:
    response = client.post("/enhance", params={"format": name}, content=FILE)
    assert Image.open(io.BytesIO(response.content)).format == format


def test_what_is_dropped_is_said(client: httpx.Client) -> None:
    frames = [Image.new("RGB", (64, 48), (level, level, level)) for level in (30, 60)]
    file = pillow_file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    ultra_hdr = pillow_file(frames[0], "JPEG", xmp=XMP)
    for body, dropped in ((FILE, None), (file, None), (ultra_hdr, "gain-map")):
        assert client.post("/enhance", content=body).headers.get("nightlift-dropped") == dropped
    animated = pillow_file(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    assert client.post("/enhance", content=animated).headers["nightlift-dropped"] == "frames"


def test_the_description_lists_all_options_in_place(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    schema = document["paths"]["/enhance"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(schema["properties"]) == {"image", *EnhanceOptions.model_fields}
    assert "$ref" not in json.dumps(form_properties(EnhanceOptions))
