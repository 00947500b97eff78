"""Every panel's query, run by a real Prometheus that scrapes the real service under traffic."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.docker.conftest import DOCKER, run, tool
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from tests.servers import free_port, serving

DASHBOARDS = DOCKER / "grafana" / "dashboards"
SCRAPES = 6

# What a machine without an NVIDIA device cannot show, and Triton's own; their names are checked below.
TRITON_METRICS = {
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_pending_request_count",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_request_duration_us",
    "nv_gpu_utilization",
    "nv_gpu_memory_used_bytes",
    "nv_gpu_memory_total_bytes",
    "nv_gpu_power_usage",
}


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
    program = tool("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    repository = make_repository(folder / "models")
    with serving(repository, folder, default_model="brighten") as server:
        configuration = (DOCKER / "prometheus" / "prometheus.yml").read_text()
        configuration = re.sub(r"scrape_configs:.*", "", configuration, flags=re.S)
        configuration = re.sub(r"alerting:.*", "", configuration, flags=re.S)
        configuration = configuration.replace("10s", "1s").replace("rules/*", f"{DOCKER}/prometheus/rules/*")
        configuration += (
            "scrape_configs:\n  - job_name: nightlift\n    static_configs:\n"
            f"      - targets: ['127.0.0.1:{server.port}']\n"
        )
        (folder / "prometheus.yml").write_text(configuration)
        run("promtool", "check", "config", folder / "prometheus.yml")
        url = f"127.0.0.1:{free_port()}"
        command = [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        command += [f"--web.listen-address={url}", "--enable-feature=exemplar-storage", "--log.level=warn"]
        with (folder / "prometheus.log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_for_scrapes(f"http://{url}", server.url)
            yield f"http://{url}"
        finally:
            process.kill()
            process.wait()


def _wait_for_scrapes(prometheus: str, service: str) -> None:
    picture = encoded(dark_scene(size=(64, 96)))
    headers = {"traceparent": f"00-{'c' * 32}-{'d' * 16}-01"}
    seen, end = 0.0, time.monotonic() + 60
    while seen < SCRAPES and time.monotonic() < end:
        for _ in range(3):
            assert httpx.post(f"{service}/enhance", content=picture, headers=headers).status_code == 200
        assert httpx.post(f"{service}/enhance", content=b"no picture").status_code == 400
        time.sleep(0.3)
        try:
            found = ask(prometheus, "count_over_time(nightlift_pictures_total[1m])")
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
    empty = [(title, query) for title, query in queries(name) if not ask(prometheus, query)]
    assert not empty


def test_the_triton_dashboard_asks_for_metrics_that_triton_has(prometheus: str) -> None:
    for title, query in queries("triton.json"):
        ask(prometheus, query)  # it parses; without a Triton there is no data
        names = set(re.findall(r"nv_\w+", query))
        assert names, title
        assert names <= TRITON_METRICS, title


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
