"""Runs kopf in a thread, and starts kopf again after a failure, with a new and complete list of all objects."""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from gpu_operator.spec import COLLECTION
from gpu_operator.view import ClusterView
from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.cluster import Cluster
from node_core.kube.http import ApiClient
from node_core.runtime import metrics
from node_core.runtime.services import Services

if TYPE_CHECKING:
    from gpu_operator.watch.observer import Observer

log = structlog.get_logger(__name__)

RETRIES = Backoff(first=1.0, maximum=60.0)
PROVEN_SECONDS = 60.0
"""A run of this length resets the back-off."""
COPY_SECONDS = 30.0
CLOSE_SECONDS = 0.1
"""The loop continues for this time after kopf has ended, in which the TLS connections of aiohttp close."""
STOP_SECONDS = 1.0
NAME = "gpu-operator"
CHECK = f"{NAME}/watch"
CRD_HINT = "is the CRD installed? `kubectl get crd nvidiadrivers.nvidia.com`; if not, apply manifests/crds"


class ClusterWatch:
    """Satisfies process.BackgroundService. on_change: called in the thread of kopf after each change, and must return at once.

    connect: reads the credentials; raises KubeError. api: for one request before each start of kopf. namespace: of the driver pods.
    """

    def __init__(
        self,
        services: Services,
        *,
        api: ApiClient,
        connect: Callable[[], Cluster],
        namespace: str,
        on_change: Callable[[], None],
    ) -> None:
        self._services, self._api, self._connect = services, api, connect
        self._namespace, self._on_change = namespace, on_change
        self._lock = threading.Lock()
        self._current: _Run | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        quiet_kopf()
        self._services.readiness.expect(CHECK)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self.restart()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def liveness_problem(self) -> str | None:
        is_dead = self._thread.ident is not None and not self._thread.is_alive() and not self._stopping.is_set()
        return "the thread of kopf has ended" if is_dead else None

    def restart(self) -> None:
        """Lists all objects again, because the view may be wrong. Until then, the view is unknown. Callable from any thread."""
        with self._lock:
            run, self._current = self._current, None
        if run is not None:
            run.end()

    def read_view(self) -> ClusterView | None:
        """Returns the present state of the cluster, or None while it is not known completely. Not in the thread of kopf."""
        with self._lock:
            run = self._current
        return None if run is None else run.copy_view()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = self._services.clock()
            problem = self._serve_until_end()
            if self._stopping.is_set():
                return
            is_proven = self._services.clock() - began >= PROVEN_SECONDS
            failures = 1 if is_proven else failures + 1
            if problem is not None:
                self._services.readiness.report(CHECK, problem)
                self._services.metrics.add(metrics.ERRORS, agent=NAME, check="watch")
            self._stopping.wait(RETRIES.delay(failures, self._services.chance()))

    def _serve_until_end(self) -> str | None:
        """Runs kopf until it ends or fails. Returns why it failed, or None after `restart`."""
        try:
            self._require_crd()
            asyncio.run(self._serve())
        except KubeError as error:
            return str(error)
        except Exception as error:  # of kopf, which has no base class for its errors
            log.debug("kopf_failed", exc_info=True)
            return f"the watch failed: {getattr(error, 'message', None) or f'{type(error).__name__}: {error}'}"
        finally:
            with self._lock:
                self._current = None
        return None

    def _require_crd(self) -> None:
        """Raises KubeError if the cluster does not have the CRD, which kopf would only log."""
        try:
            self._api.request("GET", COLLECTION, query={"limit": "1"})
        except KubeError as error:
            if error.status == 404:
                raise KubeError("the cluster does not know NVIDIADrivers", status=404, hint=CRD_HINT) from error
            raise

    async def _serve(self) -> None:
        import kopf  # noqa: PLC0415 - 50 MiB, and only the leader needs it

        from gpu_operator.watch.observer import Observer, make_registry, make_settings  # noqa: PLC0415

        asyncio.get_running_loop().set_exception_handler(_log_task_error)
        observer = Observer(on_change=self._report_change, on_relist=self.restart)
        run = _Run(asyncio.get_running_loop(), observer)
        with self._lock:
            self._current = run
        if self._stopping.is_set():
            return
        try:
            await kopf.operator(
                registry=make_registry(observer, self._connect),
                settings=make_settings(),
                namespaces=[self._namespace],
                standalone=True,
                stop_flag=run.stop,
            )
        finally:
            await asyncio.sleep(CLOSE_SECONDS)

    def _report_change(self) -> None:
        self._services.readiness.report(CHECK, None)
        self._on_change()


def _log_task_error(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Logs what asyncio reports about the tasks of a run of kopf that failed. The failure itself is a problem of readiness."""
    log.debug("kopf_task_failed", why=context.get("message"))


def quiet_kopf() -> None:
    """Silences what kopf logs about its requests and tasks: readiness reports these failures. Failures of handlers remain in the log."""
    for name in ("kopf._cogs", "kopf._core"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _Run:
    """One run of kopf, for other threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, observer: "Observer") -> None:
        self.stop = asyncio.Event()
        self._loop, self._observer = loop, observer

    def end(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.stop.set)

    def copy_view(self) -> ClusterView | None:
        copying = self._observer.copy_view()
        try:
            return asyncio.run_coroutine_threadsafe(copying, self._loop).result(COPY_SECONDS)
        except (RuntimeError, TimeoutError, concurrent.futures.CancelledError):  # the loop has ended, or is ending
            copying.close()
            return None
