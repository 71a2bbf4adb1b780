"""Serves the exposition from memory.

A change is rendered once for all scrapers. The formats of the last scrapes are rendered ahead, after each sample of the GPUs.
"""

import gzip
import threading
from collections.abc import Callable

from gpu_exporter.device_labels import LabelOptions
from gpu_exporter.render import render
from gpu_exporter.selection import Selection
from gpu_exporter.view import Known, View, make_view

FASTEST = 1
"""The level of gzip. The exposition has many equal parts, so a higher level saves little."""


SAMPLES_AHEAD = 4
"""A format is rendered ahead for this number of samples after a scrape: Prometheus may scrape less often than the GPUs are read."""


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
        self._ahead: dict[tuple[bool, bool], int] = {}

    def body(self, *, is_openmetrics: bool = False, is_gzipped: bool = False) -> bytes:
        """Returns the exposition of what is known at present."""
        with self._lock:
            self._ahead[is_openmetrics, is_gzipped] = SAMPLES_AHEAD
            self._update()
            return self._body(is_openmetrics, is_gzipped)

    def render_ahead(self) -> None:
        """Renders the formats of the last scrapes, so that the next scrape only sends them."""
        with self._lock:
            if self._ahead:
                self._update()
            for each in self._ahead:
                self._body(*each)
            self._ahead = {each: left - 1 for each, left in self._ahead.items() if left > 1}

    def _update(self) -> None:
        known = self._collect()
        if known != self._known:
            self._known, self._view, self._bodies = known, make_view(known), {}

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
