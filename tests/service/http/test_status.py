"""Probes, listings, metrics, documentation and the page, on a real server."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urljoin

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.http import create_app
from service.runtime import Runtime
from service.settings import Settings
from tests.pictures import dark_scene, encoded
from tests.service.http.conftest import MAX_BODY_BYTES, MAX_RAW_BODY_BYTES, TOLD

SHIPPED = "zero_dce_improved"


def test_probes(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"live": True}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["models"] == dict.fromkeys(("brighten", "other", "world", "tiny"), "READY")


def test_models_are_listed_with_what_they_run_on(client: httpx.Client) -> None:
    listing = client.get("/models").json()
    assert listing["default"] == "brighten"
    limits = {
        "max_body_bytes": MAX_BODY_BYTES,
        "max_raw_body_bytes": MAX_RAW_BODY_BYTES,
        "max_pixels": 4_000_000,
        "min_side": 16,
        "max_aspect_ratio": 8,
    }
    assert listing["limits"] == limits
    assert listing["restorer"] is None
    assert [(model["name"], model["version"]) for model in listing["models"]] == [
        ("brighten", 1),
        ("brighten", 2),
        ("other", 1),
        ("other", 2),
        ("tiny", 1),
        ("world", 1),
    ]
    assert all(model["ready"] and model["provider"] == "CPUExecutionProvider" for model in listing["models"])


def test_models_are_listed_with_their_family_licence_and_scores(client: httpx.Client) -> None:
    listed = {model["name"]: model for model in client.get("/models").json()["models"]}
    assert {name: listed["world"][name] for name in TOLD} == TOLD
    assert {name: listed["tiny"][name] for name in TOLD} == {"family": "tiny", "licence": "", "scores": {}}


def test_a_shipped_model_tells_its_licence_and_scores() -> None:
    async def listing() -> dict:
        async with Runtime(Settings(models=SHIPPED, default_model=SHIPPED, device="cpu")) as runtime:
            await runtime.loaded()
            transport = httpx.ASGITransport(create_app(runtime))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return (await client.get("/models")).json()

    [model] = [model for model in asyncio.run(listing())["models"] if model["name"] == SHIPPED]
    assert model["family"] == SHIPPED
    assert "Apache-2.0" in model["licence"]
    assert model["scores"]["psnr"] > 10


def test_metrics_count_requests_by_route_and_errors_by_type(client: httpx.Client) -> None:
    def count(name: str, **labels: str) -> float:
        families = text_string_to_metric_families(client.get("/metrics").text)
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    before = count("nightlift_requests_total", route="/enhance", code="200")
    failed = count("nightlift_errors_total", type="unreadable-picture")
    assert client.post("/enhance", content=encoded(dark_scene(size=(48, 64)))).status_code == 200
    assert client.post("/enhance", content=b"no").status_code == 400
    client.get("/no/such/place")
    assert count("nightlift_requests_total", route="/enhance", code="200") == before + 1
    assert count("nightlift_errors_total", type="unreadable-picture") == failed + 1
    assert count("nightlift_requests_total", route="unmatched", code="404") >= 1
    assert count("nightlift_batch_size_count", model="brighten") >= 1
    assert count("nightlift_stage_duration_seconds_count", stage="encode", model="brighten") >= 1


def test_metrics_in_a_version_that_is_no_number_are_text(client: httpx.Client) -> None:
    for accept in ("text/plain;version=x", "application/openmetrics-text;version=abc"):
        response = client.get("/metrics", headers={"Accept": accept})
        assert (response.status_code, response.headers["content-type"][:10]) == (200, "text/plain")


def test_documentation_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs").text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert assets
    for asset in assets:
        assert not asset.startswith(("http:", "https:", "//")), asset
        assert client.get(urljoin("/docs", asset)).status_code == 200, asset
    description = client.get("/openapi.json").json()
    assert "/enhance" in description["paths"]
    assert "securitySchemes" not in description["components"]  # no keys, and no button to enter one


def test_the_description_tells_of_problems_headers_and_groups(client: httpx.Client) -> None:
    description = client.get("/openapi.json").json()
    enhance = description["paths"]["/enhance"]["post"]
    assert "Nightlift-Gate" in enhance["responses"]["200"]["headers"]
    assert "Retry-After" in enhance["responses"]["503"]["headers"]
    for status in ("400", "403", "421", "422", "503"):
        schema = enhance["responses"][status]["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
    problem = client.post("/enhance", content=b"").json()
    schema = description["components"]["schemas"]["Problem"]
    assert set(schema["required"]) <= set(problem) <= set(schema["properties"])
    groups = {tag["name"] for tag in description["tags"]}
    for operations in description["paths"].values():
        for operation in operations.values():
            assert set(operation["tags"]) <= groups
            assert len(operation["tags"]) == 1


@pytest.mark.parametrize(("path", "root"), [("/nothing", "./"), ("/no/such/place", "../../")])
def test_browsers_get_a_page_for_what_is_not_there(client: httpx.Client, path: str, root: str) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    response = client.get(path, headers=browser)
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    links = re.findall(r'(?:src|href)="([^"]+)"', response.text)
    assert f"{root}docs" in links
    for link in links:
        assert client.get(urljoin(path, link)).status_code == 200, link
    assert client.get("/v2/nothing", headers=browser).headers["content-type"] == "application/json"
    assert client.post("/nothing", headers=browser).headers["content-type"] == "application/problem+json"


def test_every_problem_type_is_explained(client: httpx.Client) -> None:
    document = client.post("/enhance", content=b"").json()
    explained = client.get(document["type"]).json()
    assert explained["status"] == 400
    assert explained["grpc_code"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("method", "path", "status", "title", "words"),
    [
        ("GET", "/nothing", 404, "Not Found", "/docs lists the API"),
        ("GET", "/static/nothing.js", 404, "Not Found", "/docs lists the API"),
        ("GET", "/problems/unheard-of", 404, "Not Found", "there is nothing at this path"),
        ("GET", "/enhance", 405, "Method Not Allowed", "takes POST only"),
        ("POST", "/static/app.js", 405, "Method Not Allowed", "takes GET and HEAD only"),
    ],
)
def test_unknown_places_and_methods_are_problems_too(
    client: httpx.Client, method: str, path: str, status: int, title: str, words: str
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert words in document.pop("detail")
    assert document == {"type": "about:blank", "title": title, "status": status, "instance": path}


def test_below_v2_they_are_in_the_protocols_form(client: httpx.Client) -> None:
    assert client.get("/v2/nothing").json() == {"error": "there is nothing at this path; /docs lists the API"}
    response = client.delete("/v2")
    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert response.json() == {"error": "this path takes GET only"}
