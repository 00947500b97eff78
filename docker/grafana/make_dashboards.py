"""Write the Grafana dashboards: `python docker/grafana/make_dashboards.py`.

A panel takes a few lines here, and forty in the generated JSON in `dashboards/`, which Grafana reads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
HERE = 'job=~"$job"'
MODEL = 'job=~"$job", model=~"$model"'
RANGE = "$__rate_interval"
WIDTH, HEIGHT = 8, 7  # three panels a row of Grafana's 24 columns


@dataclass(frozen=True)
class Panel:
    """A panel: its unit in Grafana's notation, its queries by legend, and its visualisation."""

    title: str
    unit: str
    queries: dict[str, str]
    kind: str = "timeseries"
    stacked: bool = False


def rate(metric: str, labels: str = HERE) -> str:
    """The rate of a counter, in PromQL, as everything below."""
    return f"rate({metric}{{{labels}}}[{RANGE}])"


def total(metric: str, by: str, labels: str = HERE) -> str:
    """The rate of a counter, summed by labels."""
    return f"sum by ({by}) ({rate(metric, labels)})"


def share(part: str, whole: str, by: str, labels: str) -> str:
    """The ratio of two counters' rates."""
    return f"{total(part, by, labels)} / {total(whole, by, labels)}"


def or_none(query: str) -> str:
    """A query that gives 0 if there are no series, as for counters before their first event."""
    return f"{query} or vector(0)"


def mean(metric: str, by: str, labels: str = HERE) -> str:
    """The mean of a histogram's observations."""
    return f"sum by ({by}) ({rate(metric + '_sum', labels)}) / sum by ({by}) ({rate(metric + '_count', labels)})"


def quantile(q: float, metric: str, by: str = "", labels: str = HERE) -> str:
    """A quantile of a histogram."""
    groups = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({q}, sum by ({groups}) ({rate(metric + '_bucket', labels)}))"


def quantiles(metric: str, labels: str = HERE) -> dict[str, str]:
    """Median and tail of a histogram."""
    return {f"p{q * 100:.0f}": quantile(q, metric, labels=labels) for q in (0.5, 0.95, 0.99)}


REQUESTS = "nightlift_request_duration_seconds"
WORK = HERE + ', route=~"/enhance|.*ModelInfer|/v2/models/.*/infer"'
FAULT = ', code_class="5xx"'
INFER = ', stage="infer"'
STAGES = "nightlift_stage_duration_seconds"

SERVICE = {
    "Status": [
        Panel("Replicas up", "short", {"up": f"sum(up{{{HERE}}})"}, "stat"),
        Panel("Models ready", "short", {"ready": f"sum(nightlift_model_ready{{{HERE}}})"}, "stat"),
        Panel("Version", "short", {"{{version}}": f"count by (version) (nightlift_build_info{{{HERE}}})"}, "stat"),
    ],
    "Requests": [
        Panel("Requests by status class", "reqps", {"{{code_class}}": total(REQUESTS + "_count", "code_class")}),
        Panel(
            "Error ratio of enhancement and inference requests",
            "percentunit",
            {
                "5xx": f"(sum({rate(REQUESTS + '_count', WORK + FAULT)}) or vector(0))"
                f" / sum({rate(REQUESTS + '_count', WORK)})"
            },
        ),
        Panel("Seconds per request", "s", quantiles(REQUESTS, WORK)),
        Panel(
            "Requests by duration",
            "s",
            {"{{le}}": f"sum by (le) (increase({REQUESTS}_bucket{{{WORK}}}[{RANGE}]))"},
            "heatmap",
        ),
        Panel(
            "Requests in progress",
            "short",
            {"{{transport}}": f"sum by (transport) (nightlift_requests_in_progress{{{HERE}}})"},
        ),
        Panel("Routes", "reqps", {"{{route}}": total("nightlift_requests_total", "route")}),
    ],
    "Where time goes": [
        Panel("Mean by stage", "s", {"{{stage}}": mean(STAGES, "stage")}, stacked=True),
        Panel("p95 by stage", "s", {"{{stage}}": quantile(0.95, STAGES, "stage")}),
    ],
    "Refused and failed": [
        Panel(
            "Refused by reason",
            "reqps",
            {"{{reason}}": or_none(total("nightlift_rejected_total", "reason"))},
        ),
        Panel("Errors by type", "reqps", {"{{type}}": or_none(total("nightlift_errors_total", "type"))}),
        Panel(
            "Clients that disconnected, by stage",
            "reqps",
            {"{{at}}": or_none(total("nightlift_cancelled_total", "at"))},
        ),
    ],
    "Process": [
        Panel("CPU", "short", {"{{instance}}": rate("process_cpu_seconds_total")}),
        Panel("Resident memory", "bytes", {"{{instance}}": f"process_resident_memory_bytes{{{HERE}}}"}),
        Panel("Open files", "short", {"{{instance}}": f"process_open_fds{{{HERE}}}"}),
    ],
    "Pictures": [
        Panel(
            "Enhanced",
            "reqps",
            {"{{format}} {{detail}}": total("nightlift_pictures_total", "format, detail")},
        ),
        Panel("Megapixels", "short", quantiles("nightlift_input_megapixels")),
        Panel("Bytes in", "bytes", quantiles("nightlift_input_bytes")),
        Panel(
            "Mean luminance",
            "percentunit",
            {
                "in": mean("nightlift_input_luminance_ratio", "job"),
                "out": mean("nightlift_output_luminance_ratio", "job"),
            },
        ),
        Panel("Clipped pixels", "percentunit", quantiles("nightlift_output_clipped_ratio")),
    ],
    "Restoration": [
        Panel("Denoised share of a picture", "percentunit", {"mean": mean("nightlift_restored_ratio", "job")}),
        Panel("Tiles denoised", "ops", {"{{model}}": or_none(total("nightlift_restored_tiles_total", "model"))}),
        Panel("Seconds per picture", "s", quantiles(STAGES, HERE + ', stage="restore"')),
    ],
}

MODELS = {
    "Models": [
        Panel(
            "Models and their devices",
            "short",
            {
                "{{model}}/{{version}} {{provider}} {{precision}}": "sum by (model, version, engine, provider,"
                f" precision) (nightlift_model_info{{{MODEL}}})"
            },
            "table",
        ),
        Panel("Ready replicas", "short", {"{{model}}": f"sum by (model) (nightlift_model_ready{{{MODEL}}})"}),
        Panel(
            "Load time",
            "s",
            {
                "{{model}}": f"sum by (model) (nightlift_model_load_seconds_sum{{{MODEL}}})"
                f" / sum by (model) (nightlift_model_load_seconds_count{{{MODEL}}})"
            },
            "stat",
        ),
    ],
    "Queue": [
        Panel("Waiting", "short", {"{{model}}": f"sum by (model) (nightlift_queue_depth{{{MODEL}}})"}),
        Panel("Pixels waiting", "short", {"{{model}}": f"sum by (model) (nightlift_queue_pixels{{{MODEL}}})"}),
        Panel("Oldest wait", "s", {"{{model}}": f"max by (model) (nightlift_queue_oldest_seconds{{{MODEL}}})"}),
        Panel("Seconds in the queue", "s", quantiles(STAGES, MODEL + ', stage="queue"')),
        Panel("Accepted work", "s", {"{{instance}}": 'max by (instance) (nightlift_backlog_seconds{job=~"$job"})'}),
    ],
    "Batches": [
        Panel("Pictures per pass", "short", {"{{model}}": mean("nightlift_batch_size", "model", MODEL)}),
        Panel("Pixels per pass", "short", {"{{model}}": mean("nightlift_batch_pixels", "model", MODEL)}),
        Panel(
            "Passes by reason of batch closing",
            "ops",
            {"{{closed_by}}": total("nightlift_batches_total", "closed_by", MODEL)},
        ),
    ],
    "Engine": [
        Panel("Seconds per pass", "s", quantiles(STAGES, MODEL + INFER)),
        Panel("Pictures", "ops", {"{{model}}": total("nightlift_pictures_total", "model", MODEL)}),
        Panel(
            "Engine seconds per second",  # over all replicas and concurrent passes, so it may exceed 1
            "short",
            {"{{model}}": total(STAGES + "_sum", "model", MODEL + INFER)},
        ),
    ],
    "Devices (NVIDIA only)": [
        Panel(
            "Utilisation",
            "percentunit",
            {"{{instance}} {{device}}": f"nightlift_device_utilization_ratio{{{HERE}}} or vector(0)"},
        ),
        Panel(
            "Memory",
            "percentunit",
            {
                "{{instance}} {{device}}": f"nightlift_device_memory_used_bytes{{{HERE}}}"
                f" / nightlift_device_memory_total_bytes{{{HERE}}} or vector(0)"
            },
        ),
        Panel(
            "Faults and restarts",
            "ops",
            {
                "{{device}} {{kind}}": total("nightlift_device_faults_total", "device, kind"),
                "{{device}} restarted": or_none(total("nightlift_worker_restarts_total", "device")),
            },
        ),
    ],
}

TRITON_MODEL = 'model=~"$model"'
TRITON = {
    "Requests": [
        Panel(
            "Succeeded",
            "reqps",
            {"{{model}}": total("nv_inference_request_success", "model", TRITON_MODEL)},
        ),
        Panel("Failed", "reqps", {"{{model}}": total("nv_inference_request_failure", "model", TRITON_MODEL)}),
        Panel(
            "Waiting",
            "short",
            {"{{model}}": f"sum by (model) (nv_inference_pending_request_count{{{TRITON_MODEL}}})"},
        ),
    ],
    "Batches and where time goes": [
        Panel(
            "Pictures per pass",
            "short",
            {"{{model}}": share("nv_inference_count", "nv_inference_exec_count", "model", TRITON_MODEL)},
        ),
        *(
            Panel(
                title,
                "percentunit",
                {
                    "{{model}}": share(
                        f"nv_inference_{part}_duration_us", "nv_inference_request_duration_us", "model", TRITON_MODEL
                    )
                },
            )
            for title, part in (("Queue, share of time", "queue"), ("Network, share of time", "compute_infer"))
        ),
    ],
    "Device": [
        Panel("Utilisation", "percentunit", {"{{gpu_uuid}}": "nv_gpu_utilization"}),
        Panel("Memory", "percentunit", {"{{gpu_uuid}}": "nv_gpu_memory_used_bytes / nv_gpu_memory_total_bytes"}),
        Panel("Power", "watt", {"{{gpu_uuid}}": "nv_gpu_power_usage"}),
    ],
}


def variable(name: str, query: str) -> dict[str, Any]:
    """A dashboard variable, with all values selected by default."""
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard(uid: str, title: str, rows: dict[str, list[Panel]], variables: list[dict[str, Any]]) -> dict[str, Any]:
    """A dashboard in Grafana's JSON model; `rows` maps titles to panels."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row, members in rows.items():
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": row,
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
                "panels": [],
            }
        )
        y += 1
        for place, panel in enumerate(members):
            position = {"x": place % 3 * WIDTH, "y": y + place // 3 * HEIGHT, "w": WIDTH, "h": HEIGHT}
            panels.append(_panel(len(panels) + 1, panel, position))
        y += -(-len(members) // 3) * HEIGHT
    return {
        "uid": uid,
        "title": title,
        "tags": ["nightlift"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables},
        "panels": panels,
    }


def _panel(number: int, panel: Panel, position: dict[str, int]) -> dict[str, Any]:
    custom = {"fillOpacity": 30, "stacking": {"mode": "normal"}} if panel.stacked else {}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "gridPos": position,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
                "exemplar": panel.title.startswith("Seconds per request"),
                "format": "heatmap"
                if panel.kind == "heatmap"
                else "table"
                if panel.kind == "table"
                else "time_series",
                "instant": panel.kind in ("stat", "table"),
            }
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def dashboards() -> dict[str, dict[str, Any]]:
    """All dashboards by file name."""
    job = variable("job", "label_values(nightlift_build_info, job)")
    model = variable("model", 'label_values(nightlift_model_ready{job=~"$job"}, model)')
    of_triton = variable("model", "label_values(nv_inference_request_success, model)")
    return {
        "service.json": dashboard("nightlift-service", "Nightlift: service", SERVICE, [job]),
        "models.json": dashboard("nightlift-models", "Nightlift: models", MODELS, [job, model]),
        "triton.json": dashboard("nightlift-triton", "Nightlift: Triton", TRITON, [of_triton]),
    }


if __name__ == "__main__":
    for name, content in dashboards().items():
        (FOLDER / name).write_text(json.dumps(content, indent=2) + "\n")
