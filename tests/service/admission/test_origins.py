"""Pages of other origins: closed unless listed, and then told all that they may know."""

from __future__ import annotations

import httpx
import pytest

from tests.servers import Server
from tests.service.admission.conftest import ORIGIN, PICTURE, ServiceWithKeys, bearer

FOREIGN = "https://evil.example"


def preflight(
    url: str, origin: str, headers: str = "authorization,content-type", method: str = "POST"
) -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return httpx.options(f"{url}/enhance", headers=asked)


def test_a_listed_origin_may_ask_and_read(guarded: ServiceWithKeys) -> None:
    asked = preflight(guarded.server.url, ORIGIN)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in asked.headers
    headers = {"Origin": ORIGIN, **bearer(guarded.keys["enhance"])}
    answer = httpx.post(f"{guarded.server.url}/enhance", content=PICTURE, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    ours = {name for name in answer.headers if name.startswith("nightlift-")} | {"server-timing", "x-request-id"}
    assert len(ours) == 10
    assert ours <= exposed
    assert {name.strip() for name in answer.headers["vary"].split(",")} == {"Accept", "Origin"}


def test_refusals_can_be_read_by_it_too(guarded: ServiceWithKeys) -> None:
    for path, status in (("/enhance", 401), ("/nothing", 401), ("/livez", 405)):
        answer = httpx.post(guarded.server.url + path, content=PICTURE, headers={"Origin": ORIGIN})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("origin", [FOREIGN, "null", f"{ORIGIN}.evil.example", ORIGIN.replace("https", "http")])
def test_others_may_not(guarded: ServiceWithKeys, origin: str) -> None:
    asked = preflight(guarded.server.url, origin)
    assert asked.status_code == 400
    assert "access-control-allow-origin" not in asked.headers
    headers = {"Origin": origin, **bearer(guarded.keys["enhance"])}
    answer = httpx.post(f"{guarded.server.url}/enhance", content=PICTURE, headers=headers)
    assert "access-control-allow-origin" not in answer.headers


def test_methods_and_headers_beyond_the_api_are_refused(guarded: ServiceWithKeys) -> None:
    assert preflight(guarded.server.url, ORIGIN, method="DELETE").status_code == 400
    assert preflight(guarded.server.url, ORIGIN, headers="x-other").status_code == 400


def test_by_default_nobody_may(protocol_server: Server) -> None:
    asked = preflight(protocol_server.url, ORIGIN)
    assert asked.status_code == 405
    answer = httpx.get(f"{protocol_server.url}/models", headers={"Origin": ORIGIN})
    for headers in (asked.headers, answer.headers):
        assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_foreign_pages_change_no_models_where_there_are_no_keys(
    protocol_server: Server, site: str, status: int
) -> None:
    """Browsers send such a request without asking first: it is as simple as that of a form."""
    headers = {"Origin": FOREIGN, "Sec-Fetch-Site": site, "Content-Type": "text/plain"}
    for change in ("unload", "load"):
        url = f"{protocol_server.url}/v2/repository/models/changing/{change}"
        assert httpx.post(url, headers=headers).status_code == status


def test_with_keys_a_page_gains_nothing_by_a_name_and_every_name_is_taken(guarded: ServiceWithKeys) -> None:
    assert httpx.get(f"{guarded.server.url}/livez", headers={"Host": "photos.example"}).status_code == 200


@pytest.mark.parametrize("path", ["/metrics%0a", "/metrics%00", "/livez%0a"])
def test_a_line_end_opens_no_path(guarded: ServiceWithKeys, path: str) -> None:
    """A route's pattern would match, and a comparison of texts would not."""
    answer = httpx.get(guarded.server.url + path, headers=bearer(guarded.keys["enhance"]))
    assert answer.status_code == 400
