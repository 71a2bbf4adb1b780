"""Authorizes requests for /metrics. The user of the bearer token needs the permission to `get` the path, as with kube-rbac-proxy."""

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import structlog

from node_core.errors import KubeError
from node_core.kube.access import AccessApi
from node_core.kube.http import ApiClient
from node_core.version import VERSION

log = structlog.get_logger(__name__)

PATH = "/metrics"
ALLOWED_SECONDS = 60.0
"""Seconds for which a permission is cached. After a permission is revoked, a client can read for at most this time."""
REFUSED_SECONDS = 10.0
UNKNOWN_SECONDS = 5.0
"""Seconds before the next request after a failed request to the API server."""
REMEMBERED = 128
LONGEST_TOKEN = 16 << 10


class MetricsGuard:
    """Checks one token at a time. Other requests do not wait, but receive 503: waiting requests would occupy the connections of probes."""

    def __init__(self, access: AccessApi, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._clock = clock
        self._review_lock = threading.Lock()
        self._cache_lock = threading.Lock()
        self._cache: OrderedDict[bytes, tuple[float, int]] = OrderedDict()
        self._problem: str | None = None
        self._unknown_until = -math.inf

    def status(self, authorization: str | None) -> int:
        """Returns the HTTP status: 200; 401 for an invalid token; 403 without the permission; 503 if the token cannot be checked now."""
        token = bearer_token(authorization)
        if token is None:
            return 401
        key = hashlib.sha256(token.encode()).digest()
        known = self._read_cache(key)
        if known is not None:
            return known
        if self._clock() < self._unknown_until or not self._review_lock.acquire(blocking=False):
            return 503
        try:
            return self._read_cache(key) or self._review(key, token)
        finally:
            self._review_lock.release()

    def _review(self, key: bytes, token: str) -> int:
        try:
            user = self._access.authenticate(token)
            status = 401 if user is None else 200 if self._access.is_allowed(user, PATH) else 403
        except KubeError as error:
            self._log_change(str(error))
            self._unknown_until = self._clock() + UNKNOWN_SECONDS
            return 503
        self._log_change(None)
        self._write_cache(key, status)
        return status

    def _read_cache(self, key: bytes) -> int | None:
        with self._cache_lock:
            until, status = self._cache.get(key, (-math.inf, None))
        return status if self._clock() < until else None

    def _write_cache(self, key: bytes, status: int) -> None:
        until = self._clock() + (ALLOWED_SECONDS if status == 200 else REFUSED_SECONDS)
        with self._cache_lock:
            self._cache[key] = (until, status)
            self._cache.move_to_end(key)
            while len(self._cache) > REMEMBERED:
                self._cache.popitem(last=False)

    def _log_change(self, problem: str | None) -> None:
        """Logs each problem once, and logs the recovery."""
        if problem is not None and problem != self._problem:
            log.warning("metrics_access_check_failed", why=problem, effect="/metrics returns 503")
        elif problem is None and self._problem is not None:
            log.info("metrics_access_check_recovered")
        self._problem = problem


def bearer_token(authorization: str | None) -> str | None:
    """Parses a header as in RFC 6750. Returns None for other headers, and for values that cannot be a token."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    good = scheme.lower() == "bearer" and token.isascii() and token.isprintable() and 0 < len(token) <= LONGEST_TOKEN
    return token if good else None


def cluster_guard(kubeconfig: str | None) -> MetricsGuard:
    """Returns a guard for the cluster of a kubeconfig, or for the cluster of the pod. Connects at the first request."""
    return MetricsGuard(AccessApi(ApiClient(kubeconfig=kubeconfig, user_agent=f"gpunode-metrics/{VERSION}")))
