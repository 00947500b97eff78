"""For whom a request may come, and for which host: rebinding, other pages, paths that are no text, redirects."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from service.http._request_check import is_allowed
from tests.pictures import dark_scene, encoded
from tests.servers import Server, serving

PICTURE = encoded(dark_scene(size=(32, 48)))
ALWAYS = (
    *("localhost", "localhost:8000", "LOCALHOST.", "127.0.0.1:8000", "192.168.1.5", "[::1]:8000", "[fe80::1]"),
    *("nightlift", "nightlift:8000", "nightlift.default.svc", "nightlift.default.svc.cluster.local:8000"),
    *("host.docker.internal:8000", "nas.local", "a.b.localhost"),
)
NEVER = ("evil.example", "evil.example:8000", "svc.evil.example", "localhost.evil.example", "127.0.0.1.evil.example")


@pytest.mark.parametrize("host", ALWAYS)
def test_names_that_nobody_can_register_are_allowed(host: str) -> None:
    assert is_allowed(host, ())


@pytest.mark.parametrize("host", NEVER)
def test_others_are_allowed_if_they_are_listed(host: str) -> None:
    assert not is_allowed(host, ())
    assert not is_allowed(host, ("photos.example", "*.photos.example"))
    assert is_allowed(host, ("*",))


def test_a_pattern_stands_for_what_is_below_a_name() -> None:
    assert is_allowed("a.photos.example:443", ("*.photos.example",))
    assert not is_allowed("photos.example", ("*.photos.example",))


def test_a_page_that_gives_its_name_this_address_is_refused(server: Server) -> None:
    for path in ("/livez", "/models", "/", "/metrics"):
        answer = httpx.get(server.url + path, headers={"Host": "evil.example"})
        assert answer.status_code == 421
        assert answer.json()["type"] == "/problems/misdirected-request"
        assert "NIGHTLIFT_ALLOWED_HOSTS" in answer.json()["detail"]


def test_redirects_do_not_repeat_the_host(server: Server) -> None:
    answer = httpx.post(f"{server.url}/enhance/?gamma=1", content=PICTURE, headers={"Host": "elsewhere"})
    assert answer.status_code == 307
    assert answer.headers["location"] == "/enhance?gamma=1"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://HOST"}, 200),
        ({"Origin": "https://HOST"}, 200),  # a proxy speaks TLS for us
        ({"Origin": "http://127.0.0.1:1"}, 403),  # another service on this machine
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://behind.a.proxy"}, 200),
    ],
)
def test_a_foreign_page_makes_no_work(server: Server, headers: dict[str, str], status: int) -> None:
    """The form of another site needs nobody's leave to be sent here; browsers say whose it is."""
    named = {name: value.replace("HOST", f"127.0.0.1:{server.port}") for name, value in headers.items()}
    answer = httpx.post(f"{server.url}/enhance", files={"image": ("x.png", PICTURE)}, headers=named)
    assert answer.status_code == status
    if status == 403:
        assert "another origin" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/metrics%0a", "/livez%00", "/livez%0d%0a", "/%7f", "/static/%1b.js", "/%c2%85"])
def test_a_path_with_control_characters_is_refused(server: Server, path: str) -> None:
    answer = httpx.get(server.url + path)
    assert answer.status_code == 400
    assert "control characters" in answer.json()["detail"]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that is known by a name."""
    folder = tmp_path_factory.mktemp("named")
    (folder / "models").mkdir()
    with serving(folder / "models", folder, wait=False, allowed_hosts="photos.example, *.lan.example") as running:
        running.wait_live()
        yield running


@pytest.mark.parametrize(
    ("host", "status"),
    [("photos.example", 200), ("a.lan.example:8000", 200), ("127.0.0.1", 200), ("evil.example", 421)],
)
def test_a_service_is_known_by_the_names_of_its_setting(named: Server, host: str, status: int) -> None:
    assert httpx.get(f"{named.url}/livez", headers={"Host": host}).status_code == status
