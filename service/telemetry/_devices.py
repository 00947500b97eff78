"""Memory and use of NVIDIA devices, read from the driver at each scrape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class DeviceCollector(Collector):
    """Gauges for every device that the driver reports; none without a driver or the extra `gpu`.

    They cover the whole device: other processes on it count too, as they do when memory runs out.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._nvml = _open_driver()
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See prometheus_client's custom collectors."""
        used = GaugeMetricFamily("nightlift_device_memory_used_bytes", "Memory in use", labels=["device"])
        total = GaugeMetricFamily("nightlift_device_memory_total_bytes", "Memory there is", labels=["device"])
        busy = GaugeMetricFamily("nightlift_device_utilization_ratio", "Share of time in use", labels=["device"])
        nvml = self._nvml
        for index in range(nvml.nvmlDeviceGetCount() if nvml else 0):
            # A device that has fallen off its bus, or a slice of one, may not answer everything.
            with suppress(nvml.NVMLError):
                device = nvml.nvmlDeviceGetHandleByIndex(index)
                memory = nvml.nvmlDeviceGetMemoryInfo(device)
                used.add_metric([f"cuda:{index}"], memory.used)
                total.add_metric([f"cuda:{index}"], memory.total)
                busy.add_metric([f"cuda:{index}"], nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100)
        yield from (used, total, busy)


def _open_driver() -> Any:
    """NVIDIA's management library, or None."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except (ImportError, OSError):
        return None
    except pynvml.NVMLError:
        return None
    return pynvml
