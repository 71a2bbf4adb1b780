"""Serves the exposition from memory. It is rendered again only after a change, once for all scrapers and formats."""

import gzip
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gpu_core.domain.inventory import GpuUuid
from gpu_core.pods.holders import Holders, select_holders
from gpu_exporter.device_labels import LabelOptions
from gpu_exporter.pods.monitor import PodsSnapshot
from gpu_exporter.pods.usage import PodUsage, select_usage
from gpu_exporter.reading import GpuState
from gpu_exporter.render import render
from gpu_exporter.sampler import Sample
from gpu_exporter.selection import Selection
from gpu_exporter.view import View
from gpu_exporter.xids import GpuXids

FASTEST = 1
"""The level of gzip. The exposition has many equal parts, so a higher level saves little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything that the exposition is made of. Equal values give the same text. See View."""

    sample: Sample = Sample()  # noqa: RUF009 - frozen
    pods: PodsSnapshot = PodsSnapshot()  # noqa: RUF009 - frozen
    xids: Mapping[GpuUuid, GpuXids] = field(default_factory=dict)
    watched: frozenset[GpuUuid] = frozenset()
    driver: str = ""
    is_simulated: bool = False


class Exporter:
    """collect: returns what is known at present, without NVML, input and output. window_ms: of DCGM_EXP_XID_ERRORS_COUNT.

    Callable from any thread.
    """

    def __init__(
        self, collect: Callable[[], Known], selection: Selection, options: LabelOptions, *, window_ms: int
    ) -> None:
        self._collect, self._selection, self._options, self._window_ms = collect, selection, options, window_ms
        self._lock = threading.Lock()
        self._known: Known | None = None
        self._view = View()
        self._bodies: dict[tuple[bool, bool], bytes] = {}

    def body(self, *, is_openmetrics: bool = False, is_gzipped: bool = False) -> bytes:
        with self._lock:
            known = self._collect()
            if known != self._known:
                self._known, self._view, self._bodies = known, make_view(known), {}
            return self._body(is_openmetrics, is_gzipped)

    def _body(self, is_openmetrics: bool, is_gzipped: bool) -> bytes:
        key = (is_openmetrics, is_gzipped)
        if key not in self._bodies:
            self._bodies[key] = self._zip(is_openmetrics) if is_gzipped else self._render(is_openmetrics)
        return self._bodies[key]

    def _zip(self, is_openmetrics: bool) -> bytes:
        return gzip.compress(self._body(is_openmetrics, is_gzipped=False), FASTEST, mtime=0)

    def _render(self, is_openmetrics: bool) -> bytes:
        return render(
            self._view, self._selection, self._options, window_ms=self._window_ms, is_openmetrics=is_openmetrics
        )


def make_view(known: Known) -> View:
    """Attributes devices and processes to pods. PURE. The MIG devices are those of the readings."""
    gpus = [state.reading.gpu if state.reading else state.gpu for state in known.sample.gpus]
    pods = known.pods
    holders = select_holders(pods.pods, gpus, pods.identities) if pods.is_known else Holders()
    return View(
        states=known.sample.gpus,
        faults=known.sample.faults,
        holders=holders,
        usages=tuple(usage for state in known.sample.gpus for usage in _usages(state, holders)),
        xids=known.xids,
        watched=known.watched,
        driver=known.driver,
        is_simulated=known.is_simulated,
    )


def _usages(state: GpuState, holders: Holders) -> tuple[PodUsage, ...]:
    reading = state.reading
    return () if reading is None else select_usage(reading.devices, reading.processes, holders)
