"""Runs kopf in a thread, and starts kopf again after a failure."""

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
from gpu_operator.watch.kinds import Kind
from node_core.domain.backoff import Backoff
from node_core.errors import KubeError
from node_core.kube.cluster import Cluster
from node_core.kube.http import ApiClient
from node_core.kube.informer import Informer
from node_core.kube.resources import Resource
from node_core.runtime import metrics
from node_core.runtime.services import Services

if TYPE_CHECKING:
    from gpu_operator.watch.observer import Observer

log = structlog.get_logger(__name__)

RETRIES = Backoff(first=1.0, maximum=60.0)
PROVEN_SECONDS = 60.0
"""A run of this length resets the back-off."""
COPY_SECONDS = 30.0
MAX_OBJECTS = 100_000
IDENTITY = "gpu-operator"
"""kopf names itself to other operators of kopf, and by default reads the name of its user, which a container need not have."""
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
        if (run := self._get_run()) is not None:
            run.call(run.stop.set)
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def liveness_problem(self) -> str | None:
        is_dead = self._thread.ident is not None and not self._thread.is_alive() and not self._stopping.is_set()
        return "the thread of kopf has ended" if is_dead else None

    def require_check(self) -> None:
        """Compares the view with the cluster, because the view may be wrong. Until then, the view is unknown. Callable from any thread."""
        if (run := self._get_run()) is not None:
            run.call(run.observer.require_check)

    def read_view(self) -> ClusterView | None:
        """Returns the present state of the cluster, or None while it is not known completely. Not in the thread of kopf."""
        run = self._get_run()
        return None if run is None else run.copy_view()

    def _get_run(self) -> "_Run | None":
        with self._lock:
            return self._current

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
        """Runs kopf until it ends or fails. Returns why it failed, or None after `stop`."""
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
        import kopf  # noqa: PLC0415 - 50 MiB, which groups alone do not need

        from gpu_operator.watch.observer import Observer, make_registry, make_settings  # noqa: PLC0415

        asyncio.get_running_loop().set_exception_handler(_log_task_error)
        observer = Observer(list_uids=self._list_uids, on_change=self._on_change, on_problem=self._report)
        run = _Run(asyncio.get_running_loop(), observer)
        with self._lock:
            self._current = run
        if self._stopping.is_set():
            return
        checking = asyncio.create_task(observer.check_for_ever())
        try:
            await kopf.operator(
                registry=make_registry(observer, self._connect),
                settings=make_settings(),
                namespaces=[self._namespace],
                standalone=True,
                identity=IDENTITY,  # type: ignore[arg-type]  # the type is not public
                stop_flag=run.stop,
            )
        finally:
            checking.cancel()
            await asyncio.sleep(CLOSE_SECONDS)

    def _list_uids(self, kind: Kind) -> frozenset[str]:
        """Lists only the metadata of the objects. Raises KubeError."""
        resource = Resource(
            description=kind.plural,
            path=kind.path(self._namespace),
            parse=lambda obj, _: str(obj["metadata"]["uid"]),
            selector={"labelSelector": kind.selector} if kind.selector else {},
            max_objects=MAX_OBJECTS,
            has_only_metadata=True,
        )
        informer = Informer(self._api, resource, on_change=lambda _: None, on_error=lambda _: None)
        return frozenset(informer.list_objects().values())

    def _report(self, problem: str | None) -> None:
        self._services.readiness.report(CHECK, problem, is_expected=True)


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
        self.observer = observer
        self._loop = loop

    def call(self, function: Callable[[], object]) -> None:
        """Calls a function in the loop of kopf, unless the loop has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def copy_view(self) -> ClusterView | None:
        copying = self.observer.copy_view()
        try:
            return asyncio.run_coroutine_threadsafe(copying, self._loop).result(COPY_SECONDS)
        except (RuntimeError, TimeoutError, concurrent.futures.CancelledError):  # the loop has ended, or is ending
            copying.close()
            return None
