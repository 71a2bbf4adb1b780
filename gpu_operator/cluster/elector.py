"""Takes and renews the Lease in a thread. Callers ask whether this controller leads before each write."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

import structlog

from gpu_operator.cluster.lease import LEAD_SECONDS, RENEW_SECONDS, Observed, Step, observe, plan_step, render_lease
from gpu_operator.view import Obj
from node_core.errors import KubeError
from node_core.kube.http import ApiClient
from node_core.runtime import metrics
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

NAME = "gpu-operator"
STOP_SECONDS = 1.0
_JSON = "application/json"


class LeaderElector:
    """Satisfies process.BackgroundService. on_lead: called in the elector's thread when this controller begins to lead.

    identity: unique among the controllers. name: of the Lease.
    """

    def __init__(
        self,
        services: Services,
        *,
        api: ApiClient,
        namespace: str,
        identity: str,
        on_lead: Callable[[], None],
        name: str = NAME,
    ) -> None:
        self._services, self._api = services, api
        self._namespace, self._identity, self._name = namespace, identity, name
        self._on_lead = on_lead
        self._observed: Observed | None = None
        self._leads_until = 0.0
        self._was_leader = False
        self._is_failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leader-elector", daemon=True)

    def start(self) -> None:
        self._services.metrics.set(metrics.LEADER, 0, agent=NAME)
        self._thread.start()

    def stop(self) -> None:
        """Ends the lead, and releases the Lease, so that another controller need not wait until it expires."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def liveness_problem(self) -> str | None:
        is_dead = self._thread.ident is not None and not self._thread.is_alive() and not self._stopping.is_set()
        return "the thread of the leader election has ended" if is_dead else None

    def is_leader(self) -> bool:
        """Whether this controller may write now. Callable from any thread."""
        return self._services.clock() < self._leads_until and not self._stopping.is_set()

    def step(self) -> None:
        """Observes the Lease, and takes or renews it. Never raises KubeError."""
        began = self._services.clock()
        try:
            leads = self._take_or_wait(began)
        except KubeError as error:
            self._report_failure(error)
        else:
            self._is_failing = False
            self._leads_until = began + LEAD_SECONDS if leads else 0.0
        self._report_lead()

    def release(self) -> None:
        """Gives the Lease back, if this controller has it. A failure is ignored: the Lease expires."""
        self._leads_until = 0.0
        self._report_lead()
        if self._observed is None or self._observed.holder != self._identity:
            return
        try:
            self._write(self._observed, is_released=True)
        except KubeError as error:
            log.info("lease_not_released", why=str(error))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.step()
            self._stopping.wait(RENEW_SECONDS)
        self.release()

    def _take_or_wait(self, now: float) -> bool:
        """Returns whether this controller has the Lease. Raises KubeError."""
        if self._observed is None or self._observed.holder != self._identity:
            self._observed = observe(self._observed, self._read(), now)
        if plan_step(self._observed, self._identity, now) is Step.WAIT:
            return False
        try:
            written = self._write(self._observed)
        except KubeError as error:
            if error.status not in (404, 409):
                raise
            self._observed = observe(None, None if error.status == 404 else self._read(), now)
            return False  # another controller was faster, or the Lease was deleted: the next step decides
        self._observed = observe(self._observed, written, now)
        return True

    def _read(self) -> Obj | None:
        try:
            return self._api.request("GET", self._path)
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    def _write(self, observed: Observed, *, is_released: bool = False) -> Obj:
        now = datetime.fromtimestamp(self._services.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body = render_lease(self._name, self._namespace, self._identity, observed, now=now, is_released=is_released)
        if observed.lease is None:
            return self._api.request("POST", self._collection, body=body, content=_JSON)
        return self._api.request("PUT", self._path, body=body, content=_JSON)

    def _report_failure(self, error: KubeError) -> None:
        if not self._is_failing:
            log.warning("lease_not_renewed", why=str(error), leads=self.is_leader())
            self._services.metrics.add(metrics.ERRORS, agent=NAME, check="lease")
        self._is_failing = True

    def _report_lead(self) -> None:
        leads = self.is_leader()
        if leads == self._was_leader:
            return
        self._was_leader = leads
        log.info("leader_elected" if leads else "leader_lost", identity=self._identity)
        self._services.metrics.set(metrics.LEADER, int(leads), agent=NAME)
        if leads:
            self._on_lead()

    @property
    def _collection(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{quote(self._namespace, safe='')}/leases"

    @property
    def _path(self) -> str:
        return f"{self._collection}/{quote(self._name, safe='')}"
