"""Behind proxies that take off a path's prefix, and on sockets of both families."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError
from starlette.types import Message, Scope

from service.http._forwarded import Forwarded, Prefixed
from service.settings import Settings
from tests.repositories import make_repository
from tests.servers import Server, serving

PREFIX = {"X-Forwarded-Prefix": "/nightlift", "X-Forwarded-Proto": "https", "Host": "photos.example"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("forwarded")
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    repository = make_repository(folder / "models")
    settings = {
        "default_model": "brighten",
        "host": "::",
        "trusted_proxies": "127.0.0.1",
        "allowed_hosts": "photos.example",
    }
    with serving(repository, folder, **settings) as running:
        yield running


def test_the_slash_redirect_keeps_the_prefix(server: Server) -> None:
    answer = httpx.get(f"{server.url}/docs/", headers=PREFIX)
    assert answer.status_code == 307
    assert answer.headers["location"] == "/nightlift/docs"
    assert httpx.get(f"{server.url}/docs/").headers["location"] == "/docs"


def test_the_description_names_the_prefix(server: Server) -> None:
    for headers, servers in ((PREFIX, [{"url": "/nightlift"}]), ({}, None), (PREFIX, [{"url": "/nightlift"}])):
        assert httpx.get(f"{server.url}/openapi.json", headers=headers).json().get("servers") == servers


@pytest.mark.parametrize("path", ["/", "/docs", "/static/style.css", "/docs-assets/swagger-ui.css", "/models", "/v2"])
def test_everything_is_where_it_is_without_a_prefix(server: Server, path: str) -> None:
    plain, prefixed = (httpx.get(f"{server.url}{path}", headers=headers) for headers in ({}, PREFIX))
    assert prefixed.status_code == plain.status_code == 200
    assert prefixed.content == plain.content


def test_problems_are_told_in_the_protocol_s_form_where_it_wants_that(server: Server) -> None:
    assert "error" in httpx.get(f"{server.url}/v2/nothing", headers=PREFIX).json()
    assert httpx.get(f"{server.url}/nothing", headers=PREFIX).json()["instance"] == "/nothing"


def test_both_families_are_served(server: Server) -> None:
    for host in ("127.0.0.1", "[::1]"):
        assert httpx.get(f"http://{host}:{server.port}/livez").status_code == 200


def test_who_is_no_proxy_is_not_believed(server: Server) -> None:
    answer = httpx.get(f"http://[::1]:{server.port}/docs/", headers=PREFIX)
    assert answer.headers["location"] == "/docs"


def test_a_port_that_is_taken_is_said(server: Server, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "models")
    settings = {"default_model": "brighten", "host": "::", "port": server.port}
    with serving(repository, tmp_path, wait=False, **settings) as second:
        assert second.process.wait(60) == 1
        assert f"port {server.port} cannot be taken" in second.log_text()


async def scope_after(headers: dict[str, str], client: str = "10.0.0.1", root_path: str = "") -> Scope:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: object, send: object) -> None:
        seen.append(scope)

    async def nothing(*_: Message) -> Message:
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "path": "/docs",
        "raw_path": b"/docs",
        "client": (client, 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    trusted = Settings(trusted_proxies="10.0.0.0/8").trusted_proxies
    await Forwarded(Prefixed(app), trusted, root_path)(scope, nothing, nothing)  # type: ignore[arg-type]
    return seen[0]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("/a", "/a/docs"),
        ("/a/", "/a/docs"),
        ("/a, /b", "/a/b/docs"),
        ("//evil.example", "/docs"),
        ("/a/../b?", "/docs"),
        ("a", "/docs"),
        ("/" + "a" * 300, "/docs"),
        ("", "/docs"),
    ],
)
def test_only_prefixes_that_are_paths_count(value: str, path: str) -> None:
    scope = asyncio.run(scope_after({"X-Forwarded-Prefix": value}))
    assert scope["path"] == path
    assert scope["raw_path"] == path.encode()


def test_a_set_prefix_holds_where_no_proxy_names_one() -> None:
    assert asyncio.run(scope_after({}, "8.8.8.8", "/set"))["path"] == "/set/docs"
    assert asyncio.run(scope_after({"X-Forwarded-Prefix": "/a"}, "8.8.8.8", "/set"))["path"] == "/set/docs"
    assert asyncio.run(scope_after({"X-Forwarded-Prefix": "/a"}, "10.0.0.1", "/set"))["path"] == "/a/docs"


def test_mapped_addresses_are_those_of_their_own_family() -> None:
    scope = asyncio.run(scope_after({"X-Forwarded-For": "8.8.4.4"}, "::ffff:10.0.0.1"))
    assert scope["client"][0] == "8.8.4.4"
    assert asyncio.run(scope_after({}, "::ffff:8.8.8.8"))["client"][0] == "8.8.8.8"


@pytest.mark.parametrize("value", ["nightlift", "/a/", "//a", "/a b"])
def test_a_root_path_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="root_path"):
        Settings(root_path=value)
