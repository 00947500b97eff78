"""Every panel's query, run by a real Prometheus that scrapes the real service, or a real Triton, under traffic."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.docker.conftest import DOCKER, run, tool
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from tests.restorers import make_restorer
from tests.servers import free_port, serving
from tests.triton_server import TritonServer

DASHBOARDS = DOCKER / "grafana" / "dashboards"
SCRAPES = 6

QUIET = {
    "Error ratio of enhancement and inference requests",
    "Clients that disconnected, by stage",
    "Utilisation",
    "Memory",
    "Faults and restarts",
}
"""Panels that show a 0 of their own here, where no request fails or is given up, and no device or process is watched.
That what they ask for exists is seen by `test_metrics_that_rules_and_dashboards_read_exist`."""

GPU_METRICS = {
    "nv_gpu_utilization",
    "nv_gpu_memory_used_bytes",
    "nv_gpu_memory_total_bytes",
    "nv_gpu_power_usage",
}
"""Of Triton, which it shows on machines with NVIDIA devices alone."""


def queries(name: str) -> list[tuple[str, str]]:
    """(Panel's title, query with its variables filled in) of a dashboard."""
    panels = json.loads((DASHBOARDS / name).read_text())["panels"]
    return [
        (
            panel["title"],
            target["expr"].replace("$__rate_interval", "5s").replace("$job", ".*").replace("$model", ".*"),
        )
        for panel in panels
        for target in panel.get("targets", ())
    ]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Prometheus's URL, when it has scraped a service with traffic a few times, with our rules loaded."""
    folder = tmp_path_factory.mktemp("prometheus")
    repository = make_restorer(make_repository(folder / "models"))
    required = "brighten,nightlift_restorer"
    with (
        serving(repository, folder, default_model="brighten", required_models=required) as server,
        scraping(folder, {"nightlift": server.port}) as url,
    ):
        _send_until_scraped(url, server.url, "nightlift_pictures_total", denoise="1")
        yield url


@pytest.fixture(scope="module")
def prometheus_of_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Prometheus's URL, when it has scraped a real Triton a few times, which a front end with traffic uses."""
    folder = tmp_path_factory.mktemp("triton")
    repository = make_repository(folder / "models", extra="instance_group { kind: KIND_CPU }")
    with TritonServer(repository, folder) as triton:
        settings = {"default_model": "brighten", "engine": "triton", "triton_url": triton.grpc_url}
        ports = {"triton": triton.metrics_port}
        with serving(repository, folder, **settings) as server, scraping(folder, ports) as url:
            _send_until_scraped(url, server.url, "nv_inference_count > 0")
            yield url


@contextmanager
def scraping(folder: Path, ports: dict[str, int]) -> Iterator[str]:
    """Run Prometheus as we configure it, but every second, on ports of 127.0.0.1 by job; gives its URL."""
    configuration = (DOCKER / "prometheus" / "prometheus.yml").read_text()
    configuration = re.sub(r"scrape_configs:.*", "", configuration, flags=re.S)
    configuration = re.sub(r"alerting:.*", "", configuration, flags=re.S)
    configuration = configuration.replace("10s", "1s").replace("rules/*", f"{DOCKER}/prometheus/rules/*")
    configuration += "scrape_configs:\n"
    for job, port in ports.items():
        configuration += f"  - job_name: {job}\n    static_configs:\n      - targets: ['127.0.0.1:{port}']\n"
    (folder / "prometheus.yml").write_text(configuration)
    run("promtool", "check", "config", folder / "prometheus.yml")
    url = f"127.0.0.1:{free_port()}"
    command = [tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address={url}", "--enable-feature=exemplar-storage", "--log.level=warn"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://{url}"
    finally:
        process.kill()
        process.wait()


def _send_until_scraped(prometheus: str, service: str, metric: str, denoise: str = "auto") -> None:
    """Keep up traffic until Prometheus has seen a metric often enough for rates."""
    picture = encoded(dark_scene(size=(64, 96)))
    headers = {"traceparent": f"00-{'c' * 32}-{'d' * 16}-01"}
    seen, end = 0.0, time.monotonic() + 60
    while seen < SCRAPES and time.monotonic() < end:
        for _ in range(3):
            url = f"{service}/enhance?denoise={denoise}"
            assert httpx.post(url, content=picture, headers=headers).status_code == 200
        assert httpx.post(f"{service}/enhance", content=b"no picture").status_code == 400
        assert httpx.post(f"{service}/enhance", content=b"%PDF-1.7" + b"0" * 99).status_code == 415
        time.sleep(0.3)
        try:
            found = ask(prometheus, f"count_over_time(({metric})[1m:1s])")
        except httpx.TransportError:
            continue
        seen = float(found[0]["value"][1]) if found else 0.0
    assert seen >= SCRAPES, "Prometheus did not scrape the service"


def ask(prometheus: str, query: str) -> list[dict]:
    """The result of an instant query."""
    answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", (query, answer)
    return answer["data"]["result"]


@pytest.mark.parametrize("name", ["service.json", "models.json"])
def test_every_panel_shows_data(prometheus: str, name: str) -> None:
    assert not [(title, query) for title, query in queries(name) if not ask(prometheus, query)]
    plain = [(title, query.replace(" or vector(0)", "")) for title, query in queries(name)]
    assert {title for title, query in plain if not ask(prometheus, query)} <= QUIET


def test_every_panel_about_triton_shows_data(prometheus_of_triton: str) -> None:
    panels = [(title, query) for title, query in queries("triton.json") if "nv_gpu" not in query]
    assert panels
    assert not [(title, query) for title, query in panels if not ask(prometheus_of_triton, query)]


def test_panels_about_gpus_ask_for_metrics_that_triton_has(prometheus_of_triton: str) -> None:
    queries_of_gpus = [query for _, query in queries("triton.json") if "nv_gpu" in query]
    for query in queries_of_gpus:
        ask(prometheus_of_triton, query)  # it parses; without a GPU there is no data
    assert set(re.findall(r"nv_\w+", " ".join(queries_of_gpus))) <= GPU_METRICS


def test_rules_are_evaluated_without_errors_and_nothing_is_alarmed(prometheus: str) -> None:
    groups = httpx.get(f"{prometheus}/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 20
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}, [r for r in rules if r["health"] == "err"]
    assert not [rule["name"] for rule in rules if rule.get("state") == "firing"]


def test_exemplars_arrive_with_their_trace(prometheus: str) -> None:
    window = {"start": time.time() - 300, "end": time.time()}
    query = {"query": "nightlift_request_duration_seconds_bucket", **window}
    found = httpx.get(f"{prometheus}/api/v1/query_exemplars", params=query).json()["data"]
    traces = {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}
    assert traces == {"c" * 32}


def test_variables_have_choices(prometheus: str) -> None:
    for metric, label in (("nightlift_build_info", "job"), ("nightlift_model_ready", "model")):
        assert httpx.get(f"{prometheus}/api/v1/label/{label}/values", params={"match[]": metric}).json()["data"]
