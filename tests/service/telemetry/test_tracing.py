"""Traces as a collector sees them, from a real service, and what remains of them where they are off."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from tests.servers import Server, serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Collector:
    """An OTLP receiver that keeps the spans it is sent."""

    def __init__(self) -> None:
        collector = self
        self.spans: list[Span] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def trace(self, trace_id: str) -> dict[str, Span]:
        """The spans of one trace by name."""
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace_id}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A running collector."""
    running = Collector()
    yield running
    running.close()


def test_a_request_over_http_or_grpc_continues_its_callers_trace_through_every_stage(
    tmp_path: Path, collector: Collector
) -> None:
    repository = make_repository(tmp_path / "models")
    with serving(repository, tmp_path, default_model="brighten", trace_endpoint=collector.url) as server:
        answer = httpx.post(
            f"{server.url}/enhance", content=encoded(dark_scene(size=(64, 96))), headers={"traceparent": TRACEPARENT}
        )
        assert answer.status_code == 200
        other = TRACE.replace("4", "5")
        with triton.InferenceServerClient(server.grpc) as client:
            image = triton.InferInput("image", [1, 16, 16, 3], "UINT8")
            image.set_data_from_numpy(np.zeros((1, 16, 16, 3), np.uint8))
            client.infer("brighten", [image], headers={"traceparent": f"00-{other}-{PARENT}-01"})
        assert server.stop() == 0  # sends what is left

    spans = collector.trace(TRACE)
    assert set(spans) == {"POST /enhance", "decode", "batch", "queue", "engine", "render", "encode"}
    request = spans["POST /enhance"]
    assert request.parent_span_id.hex() == PARENT
    assert request.kind == Span.SPAN_KIND_SERVER
    for stage in ("decode", "batch", "render", "encode"):
        assert spans[stage].parent_span_id == request.span_id
    for stage in ("queue", "engine"):
        assert spans[stage].parent_span_id == spans["batch"].span_id
    for span in spans.values():
        assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
    assert set(collector.trace(other)) == {
        "gRPC /inference.GRPCInferenceService/ModelInfer",
        "batch",
        "queue",
        "engine",
    }


def test_without_traces_logs_and_exemplars_still_name_the_callers_trace(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "models")
    with serving(repository, tmp_path, default_model="brighten", log_format="json", models="brighten") as server:
        headers = {"traceparent": TRACEPARENT, "x-request-id": "mine"}
        assert (
            httpx.post(
                f"{server.url}/enhance", content=encoded(dark_scene(size=(64, 96))), headers=headers
            ).status_code
            == 200
        )
        assert f'trace_id="{TRACE}"' in open_metrics(server)
        assert TRACE not in httpx.get(f"{server.url}/metrics").text, "the text format has no exemplars"
        lines = [json.loads(line) for line in server.log_text().splitlines()]
    assert {"time", "level", "logger", "message"} <= lines[0].keys()
    assert any("ready" in line["message"] for line in lines)


def open_metrics(server: Server) -> str:
    """The exposition that a current Prometheus asks for."""
    answer = httpx.get(f"{server.url}/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert "_created" not in answer.text
    return answer.text
