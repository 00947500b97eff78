"""The files of deployment, checked by the programs that they are for, and against each other."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from service.admission import DEADLINE_MARGIN, STOP_MARGIN
from service.pictures import PLAIN, Header, PictureFormat, plain_pixels
from service.settings import Settings
from service.telemetry import Metrics
from tests.docker.conftest import DOCKER, ROOT, run

ALERTS = yaml.safe_load((DOCKER / "prometheus" / "rules" / "alerts.yml").read_text())
AVIF = PictureFormat.AVIF
NAMES = [rule["alert"] for group in ALERTS["groups"] for rule in group["rules"]]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def test_dockerfiles_are_clean() -> None:
    run("hadolint", "docker/Dockerfile", "docker/Dockerfile.cuda")


def test_prometheus_takes_its_configuration() -> None:
    run("promtool", "check", "config", DOCKER / "prometheus" / "prometheus.yml")


def test_alertmanager_takes_its_configuration() -> None:
    run("amtool", "check-config", DOCKER / "alertmanager" / "alertmanager.yml")


@pytest.mark.parametrize("name", ["tests.yml", "tests_of_days.yml"])
def test_alerts_fire_where_they_should_and_nowhere_else(name: str) -> None:
    run("promtool", "test", "rules", DOCKER / "prometheus" / name)


@pytest.mark.parametrize("alert", NAMES)
def test_every_alert_has_a_test_that_fires_it_and_an_entry_in_the_runbook(alert: str) -> None:
    texts = [(DOCKER / "prometheus" / name).read_text() for name in ("tests.yml", "tests_of_days.yml")]
    cases = [case for text in texts for case in yaml.safe_load(text)["tests"]]
    checks = [check for case in cases for check in case["promql_expr_test"] if f'"{alert}"' in check["expr"]]
    assert {check["exp_samples"][0]["value"] for check in checks} >= {1}
    assert f"\n## {alert}\n" in (ROOT / "docs" / "runbook.md").read_text()


def test_the_runbook_has_no_entry_without_an_alert() -> None:
    assert set(re.findall(r"^## (Nightlift\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.M)) == set(NAMES)


def test_metrics_that_rules_and_dashboards_read_exist() -> None:
    """Also those of panels that show a 0 where there are none, and of devices that are not here."""
    names = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)", Metrics().expose()[0].decode(), re.M):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    rules = [r["expr"] for p in (DOCKER / "prometheus/rules").glob("*.yml") for r in expressions(p)]
    panels = [t["expr"] for p in (DOCKER / "grafana/dashboards").glob("*.json") for t in expressions(p)]
    assert len(rules) > 30
    assert len(panels) > 50
    for query in (*rules, *panels):
        assert set(re.findall(r"(?<![\w:])(?:nightlift|process)_\w+", query)) <= names, query


def expressions(path: Path) -> list[dict]:
    """Whatever has a query in a file of rules or a dashboard."""
    content = yaml.safe_load(path.read_text())
    return [
        entry
        for group in content.get("groups") or content["panels"]
        for entry in group.get("rules") or group.get("targets", ())
    ]


@pytest.mark.parametrize("profile", ["gpu", "triton", "scale"])
def test_compose_takes_every_profile(profile: str) -> None:
    run("docker-compose", "--profile", profile, "config", "--quiet")


def test_every_service_of_compose_has_as_few_rights_and_as_much_memory_as_it_needs() -> None:
    profiles = [word for profile in ("gpu", "triton", "scale") for word in ("--profile", profile)]
    config = json.loads(run("docker-compose", *profiles, "config", "--format", "json"))
    for name, service in config["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"], name
        assert int(service["mem_limit"]) > 0, name
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}, name


@pytest.mark.parametrize(
    ("address", "password", "starts"),
    [
        ("127.0.0.1", "nightlift", True),
        ("0.0.0.0", "nightlift", False),
        ("192.168.1.5", "nightlift", False),
        ("0.0.0.0", "of our own", True),
    ],
)
def test_grafana_is_not_published_with_a_password_that_everybody_knows(
    address: str, password: str, starts: bool, tmp_path: Path
) -> None:
    _, _, script = COMPOSE["services"]["grafana"]["entrypoint"]
    script = script.replace("$$", "$").replace("exec /run.sh", "echo started")
    environment = {"PUBLISH_ADDRESS": address, "GF_SECURITY_ADMIN_PASSWORD": password, "PATH": os.environ["PATH"]}
    outcome = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (outcome.stdout == "started\n") is starts
    assert starts or "GRAFANA_PASSWORD" in outcome.stderr


@pytest.mark.parametrize("overlay", ["cpu", "gpu", "triton"])
def test_kubernetes_lets_nobody_in_who_is_not_named(overlay: str) -> None:
    documents = yaml.safe_load_all(run("kubectl", "kustomize", DOCKER / "kubernetes" / "overlays" / overlay))
    (policy,) = (d for d in documents if d["kind"] == "NetworkPolicy")
    assert all(rule["from"] for rule in policy["spec"]["ingress"])
    pod = front_end(overlay)["template"]["spec"]
    assert pod["topologySpreadConstraints"]
    assert "ephemeral-storage" in pod["containers"][0]["resources"]["limits"]


def test_triton_wants_no_gpu_where_compose_is_told_so() -> None:
    files = ("-f", "docker-compose.yml", "-f", "docker/triton-on-cpu.yml")
    config = run("docker-compose", *files, "--profile", "triton", "config", "--format", "json")
    assert "nvidia" in run("docker-compose", "--profile", "triton", "config")
    assert not json.loads(config)["services"]["triton"].get("deploy", {}).get("resources")


def test_compose_gives_settings_of_the_service_to_every_front_end(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    (tmp_path / "nightlift.env").write_text("NIGHTLIFT_MAX_PIXELS_IN_FLIGHT=64000000\nNIGHTLIFT_PORT=80\n")
    profiles = [word for profile in ("gpu", "triton", "scale") for word in ("--profile", profile)]
    services = json.loads(run("docker-compose", *profiles, "config", "--format", "json", cwd=tmp_path))["services"]
    for name in ("nightlift", "nightlift-gpu", "nightlift-triton", "nightlift-replica"):
        settings = services[name]["environment"]
        assert settings["NIGHTLIFT_MAX_PIXELS_IN_FLIGHT"] == "64000000", name
        assert settings["NIGHTLIFT_PORT"] == "8000", "it is published from there"


def test_compose_is_told_everything_that_the_example_lists() -> None:
    listed = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert listed <= set(re.findall(r"\$\{([A-Z_]+):-", (ROOT / "docker-compose.yml").read_text()))


def test_replicas_believe_the_proxy_who_the_client_is_and_nobody_else() -> None:
    config = json.loads(run("docker-compose", "--profile", "scale", "config", "--format", "json"))
    services, (subnet,) = config["services"], config["networks"]["behind-proxy"]["ipam"]["config"]
    assert services["nightlift-replica"]["environment"]["NIGHTLIFT_TRUSTED_PROXIES"] == subnet["subnet"]
    assert {name for name, service in services.items() if "behind-proxy" in service["networks"]} == {
        "nightlift-replica",
        "proxy",
    }
    assert "ports" not in services["nightlift-replica"], "others would reach it by the network's gateway"
    assert "NIGHTLIFT_TRUSTED_PROXIES" not in services["nightlift"]["environment"]
    headers = dict(re.findall(r"proxy_set_header (\S+) (\S+);", (DOCKER / "proxy" / "nginx.conf").read_text()))
    assert headers["X-Forwarded-For"] == "$remote_addr"
    assert headers["X-Forwarded-Proto"] == "$scheme"


def test_the_grace_of_compose_covers_draining() -> None:
    front_end, settings = COMPOSE["x-front-end"], COMPOSE["x-front-end-settings"]
    drains = float(settings["NIGHTLIFT_DRAIN_DELAY"]) + float(settings["NIGHTLIFT_DRAIN_TIMEOUT"])
    assert float(front_end["stop_grace_period"].removesuffix("s")) > drains
    assert float(settings["NIGHTLIFT_DRAIN_TIMEOUT"]) >= Settings().request_timeout


def test_a_stop_can_finish_what_a_full_service_has_taken() -> None:
    """And a proxy waits for it: what was taken is answered, or has had the time that it was promised."""
    defaults = Settings()
    assert defaults.drain_timeout >= STOP_MARGIN * defaults.max_queue_seconds
    assert defaults.drain_timeout >= defaults.request_timeout >= DEADLINE_MARGIN * defaults.max_queue_seconds
    proxy = (DOCKER / "proxy" / "nginx.conf").read_text()
    assert float(re.findall(r"proxy_read_timeout (\d+)s", proxy)[0]) > defaults.request_timeout
    assert int(re.findall(r"client_max_body_size (\d+)m", proxy)[0]) * 2**20 == defaults.max_raw_body_bytes


def test_compose_sets_only_settings_that_exist() -> None:
    known = {f"NIGHTLIFT_{name.upper()}" for name in Settings.model_fields}
    for name, service in COMPOSE["services"].items():
        given = {key for key in service.get("environment", {}) if key.startswith("NIGHTLIFT_")}
        assert given <= known, name


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt", "requirements-export.txt"])
def test_pinned_requirements_are_those_of_the_environment(name: str) -> None:
    wanted = {line.partition("==")[0] for line in load(DOCKER / "pin.py").pinned()[name].splitlines()[1:]}
    kept = re.findall(r"^([\w.-]+)==", (DOCKER / name).read_text(), re.M)
    assert set(kept) == wanted, "run docker/pin.py"


@pytest.mark.parametrize("path", sorted(DOCKER.glob("requirements*.txt")), ids=lambda path: path.name)
def test_every_requirement_of_an_image_is_one_version_with_its_hashes(path: Path) -> None:
    """pip installs nothing else then: a package that was replaced on its index does not get into an image."""
    entries = re.split(r"\n(?=\S)", path.read_text().strip())
    entries = [entry for entry in entries if not entry.startswith("#")]
    assert entries
    for entry in entries:
        assert re.match(r"[\w.-]+==[\w.+]+ \\\n    --hash=sha256:[0-9a-f]{64}", entry), entry[:60]


def test_every_image_that_is_named_can_be_pinned_by_its_digest() -> None:
    """And a digest that is there is replaced, so that the command renews it."""
    pins = load(DOCKER / "pin_images.py")
    digests = [f"sha256:{letter * 64}" for letter in "ab"]
    for name in pins.FILES:
        text = (ROOT / name).read_text()
        found = pins.images(text)
        assert len(found) == len(set(re.findall(r"\w+_IMAGE(?::-|=)\S+", text)))
        for digest in digests:
            text = pins.pinned(text, lambda name, digest=digest: digest)
            assert pins.images(text) == dict.fromkeys(found, digest)
        assert digests[0] not in text


def test_the_workflow_says_what_is_in_an_image_and_where_it_comes_from() -> None:
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "image.yml").read_text())["jobs"]["image"]
    steps = {step.get("uses", step.get("run", "")).partition("@")[0]: step.get("with", {}) for step in job["steps"]}
    assert steps["docker/build-push-action"]["sbom"] is True
    assert steps["docker/build-push-action"]["provenance"] == "mode=max"
    assert steps["anchore/sbom-action"]["format"] == "cyclonedx-json"
    assert {"actions/attest-build-provenance", "actions/attest-sbom"} <= steps.keys()
    assert {Path(one["file"]) for one in job["strategy"]["matrix"]["include"]} == {
        Path("docker/Dockerfile"),
        Path("docker/Dockerfile.cuda"),
    }


def test_dashboards_are_those_that_their_script_writes() -> None:
    for name, content in load(DOCKER / "grafana" / "make_dashboards.py").dashboards().items():
        assert json.loads((DOCKER / "grafana" / "dashboards" / name).read_text()) == content, name


@pytest.mark.parametrize("overlay", ["base", "overlays/cpu", "overlays/gpu", "overlays/triton"])
def test_kubernetes_takes_every_overlay(overlay: str, tmp_path: Path) -> None:
    rendered = run("kubectl", "kustomize", DOCKER / "kubernetes" / overlay)
    (tmp_path / "all.yml").write_text(rendered)
    # Kinds of operators (ServiceMonitor, InferenceService) have no schema in Kubernetes itself.
    kinds = [document for document in yaml.safe_load_all(rendered) if ".coreos.com" not in document["apiVersion"]]
    kinds = [document for document in kinds if "kserve" not in document["apiVersion"]]
    assert "Deployment" in {document["kind"] for document in kinds}
    (tmp_path / "core.yml").write_text(yaml.safe_dump_all(kinds))
    run("kubernetes-validate", "--strict", tmp_path / "core.yml")


def test_the_prometheus_operator_gets_the_same_rules() -> None:
    made = {
        one["metadata"]["name"]: one["spec"] for one in yaml.safe_load_all(run("sh", DOCKER / "kubernetes/rules.sh"))
    }
    rules = {p.stem: yaml.safe_load(p.read_text()) for p in (DOCKER / "prometheus" / "rules").glob("*.yml")}
    assert made == {f"nightlift-{name}": content for name, content in rules.items()}


def front_end(overlay: str) -> dict:
    documents = yaml.safe_load_all(run("kubectl", "kustomize", DOCKER / "kubernetes" / "overlays" / overlay))
    (found,) = (d for d in documents if d["kind"] == "Deployment" and d["metadata"]["name"] == "nightlift")
    return found["spec"]


def in_bytes(size: str) -> int:
    """Of Kubernetes' sizes, or compose's, whose units are powers of 2 as well."""
    number, unit = re.fullmatch(r"(\d+)([mMgG])i?", size).groups()  # type: ignore[union-attr]
    return int(number) << {"m": 20, "g": 30}[unit.lower()]


def needed_memory() -> float:
    """What docs/operations.md (Memory) says of the default settings, all at their bounds at one time."""
    bound = {name: field.default for name, field in Settings.model_fields.items() if name.startswith("max_")}
    per_pixel = plain_pixels(Header(AVIF, 1000, 1000, has_alpha=True), AVIF) * PLAIN / 1e6
    pictures = max(PLAIN * bound["max_pixels_in_flight"], per_pixel * bound["max_pixels"])
    pixels = pictures + 700 * bound["max_whole_pixels"]
    bodies = bound["max_body_bytes_in_flight"] + bound["max_body_bytes"]
    # Over HTTP and gRPC; and gRPC's other messages: one at a time of each of three kinds, which is there twice.
    messages = 2 * bodies + 3 * 2 * bound["max_body_bytes"]
    return 0.5e9 + pixels + messages + 2 * bound["max_answer_bytes_in_flight"]


@pytest.mark.parametrize("overlay", ["cpu", "gpu", "triton"])
def test_kubernetes_allows_the_memory_that_the_settings_do(overlay: str) -> None:
    pod = front_end(overlay)["template"]["spec"]
    in_memory = [in_bytes(volume["emptyDir"]["sizeLimit"]) for volume in pod["volumes"]]
    assert in_bytes(pod["containers"][0]["resources"]["limits"]["memory"]) >= needed_memory() + sum(in_memory)


@pytest.mark.parametrize("name", ["nightlift", "nightlift-gpu", "nightlift-triton", "nightlift-replica"])
def test_compose_allows_the_memory_that_the_settings_do(name: str) -> None:
    profiles = [word for profile in ("gpu", "triton", "scale") for word in ("--profile", profile)]
    service = json.loads(run("docker-compose", *profiles, "config", "--format", "json"))["services"][name]
    (tmp,) = re.findall(r"size=(\w+)", service["tmpfs"][0])
    assert int(service["mem_limit"]) >= needed_memory() + in_bytes(tmp) + int(service.get("shm_size", 0))


def test_a_front_end_with_a_gpu_has_cores_for_the_codecs_and_rolls_on_one_gpu() -> None:
    spec = front_end("gpu")
    resources = spec["template"]["spec"]["containers"][0]["resources"]
    assert int(resources["requests"]["cpu"]) >= 8  # docs/deployment.md, Capacity planning
    assert resources["limits"]["nvidia.com/gpu"] == "1"
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    services = json.loads(run("docker-compose", "--profile", "gpu", "config", "--format", "json"))["services"]
    assert services["nightlift-gpu"]["cpus"] >= 8


@pytest.mark.parametrize("overlay", ["cpu", "gpu", "triton"])
def test_the_autoscaler_acts_before_the_service_refuses(overlay: str) -> None:
    documents = yaml.safe_load_all(run("kubectl", "kustomize", DOCKER / "kubernetes" / "overlays" / overlay))
    (scaler,) = (d for d in documents if d["kind"] == "HorizontalPodAutoscaler")
    (target,) = (m["pods"]["target"]["averageValue"] for m in scaler["spec"]["metrics"] if m["type"] == "Pods")
    seconds = float(target.removesuffix("m")) / (1000 if target.endswith("m") else 1)
    assert seconds <= Settings.model_fields["max_queue_seconds"].default / 2


@pytest.mark.parametrize("overlay", ["cpu", "gpu", "triton"])
def test_kubernetes_waits_longer_than_the_service_drains(overlay: str) -> None:
    pod = front_end(overlay)["template"]["spec"]
    settings = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    drains = float(settings["NIGHTLIFT_DRAIN_DELAY"]) + float(settings["NIGHTLIFT_DRAIN_TIMEOUT"])
    assert pod["terminationGracePeriodSeconds"] > drains
    assert float(settings["NIGHTLIFT_DRAIN_TIMEOUT"]) >= Settings().request_timeout
