"""Who may read /metrics: bearers of a token whose user the cluster's RBAC lets `get` the path, as with kube-rbac-proxy."""

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from node_core.errors import KubeError
from node_core.version import VERSION

if TYPE_CHECKING:
    from node_core.kube.access import AccessApi

log = structlog.get_logger(__name__)

PATH = "/metrics"
ALLOWED_SECONDS = 60.0
"""How long a scraper goes on without the API server being asked again, and at most keeps what was taken from it."""
REFUSED_SECONDS = 10.0
UNKNOWN_SECONDS = 5.0
"""How long nobody asks again an API server that could not be asked."""
REMEMBERED = 128
LONGEST_TOKEN = 16 << 10

Access = Callable[[], "AccessApi"]


class MetricsGuard:
    """access: the door to the cluster, asked for when it is first needed.

    The API server is asked of one token at a time, and nobody waits for that: those who wait would take the connections of probes.
    """

    def __init__(self, access: Access, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._clock = clock
        self._asking = threading.Lock()
        self._remembering = threading.Lock()
        self._answers: OrderedDict[bytes, tuple[float, int]] = OrderedDict()
        self._problem: str | None = None
        self._unknown_until = -math.inf

    def status(self, authorization: str | None) -> int:
        """The HTTP status for a header: 200, 401 without a good token, 403 without the right, 503 when nobody can say."""
        token = bearer_token(authorization)
        if token is None:
            return 401
        key = hashlib.sha256(token.encode()).digest()
        known = self._remembered(key)
        if known is not None:
            return known
        if self._clock() < self._unknown_until or not self._asking.acquire(blocking=False):
            return 503
        try:
            return self._remembered(key) or self._ask(key, token)
        finally:
            self._asking.release()

    def _ask(self, key: bytes, token: str) -> int:
        try:
            access = self._access()
            user = access.user_of(token)
            status = 401 if user is None else 200 if access.may_read(user, PATH) else 403
        except KubeError as error:
            self._say(str(error))
            self._unknown_until = self._clock() + UNKNOWN_SECONDS
            return 503
        self._say(None)
        self._remember(key, status)
        return status

    def _remembered(self, key: bytes) -> int | None:
        with self._remembering:
            until, status = self._answers.get(key, (0.0, 0))
        return status if status and self._clock() < until else None

    def _remember(self, key: bytes, status: int) -> None:
        until = self._clock() + (ALLOWED_SECONDS if status == 200 else REFUSED_SECONDS)
        with self._remembering:
            self._answers[key] = (until, status)
            self._answers.move_to_end(key)
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)

    def _say(self, problem: str | None) -> None:
        """Once for each problem, and when it is over."""
        if problem is not None and problem != self._problem:
            log.warning("metrics_access_unknown", why=problem, effect="/metrics answers 503")
        elif problem is None and self._problem is not None:
            log.info("metrics_access_known")
        self._problem = problem


def bearer_token(authorization: str | None) -> str | None:
    """RFC 6750's header; None for another one, or for what cannot be a token."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    good = scheme.lower() == "bearer" and token.isascii() and token.isprintable() and 0 < len(token) <= LONGEST_TOKEN
    return token if good else None


def cluster_guard(kubeconfig: str | None) -> MetricsGuard:
    """Asks the cluster of a kubeconfig, or the pod's own. Importing its client costs 30 MB: that waits for the first request."""
    made: list[AccessApi] = []

    def access() -> "AccessApi":
        from node_core.kube.access import AccessApi  # noqa: PLC0415
        from node_core.kube.client import NodeApi  # noqa: PLC0415

        if not made:
            made.append(AccessApi(NodeApi("", kubeconfig=kubeconfig, user_agent=f"gpunode-metrics/{VERSION}")))
        return made[0]

    return MetricsGuard(access)
