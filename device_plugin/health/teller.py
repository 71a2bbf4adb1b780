"""Tells the cluster, in a thread of its own: an API server that does not answer must not keep the kubelet from being told.

Events wait for their turn, a bounded number of them. Of conditions only the newest counts, and it is written when the Node says
something else. What fails is tried again; a refusal is said once and given up.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from device_plugin.health.news import (
    Condition,
    News,
    Subject,
    find_condition,
    render_condition,
    render_event,
    says_the_same,
)
from node_core.domain.backoff import Backoff
from node_core.errors import KubeError, KubeletError
from node_core.runtime.services import Services

log = structlog.get_logger(__name__)

MOST_NEWS = 100
RETRIES = Backoff(first=1.0, most=60.0)


class Cluster(Protocol):
    """What we need of the API; see kube.client.NodeApi and kube.events.EventApi."""

    def read_node(self) -> Mapping[str, Any]: ...

    def patch_status(self, patch: Mapping[str, Any]) -> None: ...

    def create_event(self, event: Mapping[str, Any]) -> None: ...

    def pod_uid(self, namespace: str, name: str) -> str | None:
        """None where there is no such pod any more."""
        ...


class Untainter(Protocol):
    """See startup_taint.StartupTaint."""

    def apply(self, wanted: bool) -> bool:
        """Whether that took a write. Raises KubeError."""
        ...


Holders = Callable[[frozenset[str]], Iterator[tuple[str, str]]]
"""Namespace and name of the pods that hold one of these devices. May raise KubeletError."""


class Teller:
    """news, condition, taint: called in any thread, and never wait. startup: None where no taint is to be kept."""

    def __init__(
        self,
        cluster: Cluster,
        holders: Holders,
        services: Services,
        *,
        agent: str,
        node_name: str,
        startup: Untainter | None = None,
        retries: Backoff = RETRIES,
    ) -> None:
        self._cluster, self._holders, self._services = cluster, holders, services
        self._agent, self._node_name, self._retries = agent, node_name, retries
        self._changed = threading.Condition()
        self._news: deque[News] = deque(maxlen=MOST_NEWS)
        self._wanted: Condition | None = None
        self._written: Condition | None = None
        self._startup = startup
        self._tainted: bool | None = None
        self._is_ending = False
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)

    def news(self, news: News) -> None:
        """Of more than MOST_NEWS that wait, the oldest are dropped."""
        with self._changed:
            self._news.append(news)
            self._changed.notify_all()

    def condition(self, condition: Condition) -> None:
        with self._changed:
            self._wanted = condition
            self._changed.notify_all()

    def taint(self, is_wanted: bool) -> None:
        """Whether the startup taint is to be there."""
        if self._startup is not None:
            with self._changed:
                self._tainted = is_wanted
                self._changed.notify_all()

    def forget(self) -> None:
        """The Node was made anew, so it has to be told again."""
        with self._changed:
            self._written = None
            self._changed.notify_all()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(1.0)

    def step(self) -> bool:
        """Does what is to be done; whether all of it was."""
        try:
            self._keep_taint()
            self._tell_condition()
            while (news := self._next()) is not None:
                self._tell(news)
                self._done(news)
        except KubeError as error:
            self._failed(error)
            return False
        self._failures = 0
        return True

    def _next(self) -> News | None:
        with self._changed:
            return self._news[0] if self._news else None

    def _done(self, news: News) -> None:
        """Unless so much came meanwhile that it was dropped."""
        with self._changed:
            if self._news and self._news[0] is news:
                self._news.popleft()

    def _run(self) -> None:
        while self._wait():
            if not self.step():
                self._pause(self._retries.delay(self._failures, self._services.chance()))

    def _wait(self) -> bool:
        """Until there is something to do; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending or self._has_work)
            return not self._is_ending

    @property
    def _has_work(self) -> bool:
        return bool(self._news) or self._wanted != self._written or self._tainted is not None

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending, seconds)

    def _failed(self, error: KubeError) -> None:
        self._failures += 1
        if self._failures == 1:
            log.warning("cluster_not_told", why=str(error))

    def _keep_taint(self) -> None:
        wanted = self._tainted
        if self._startup is None or wanted is None:
            return
        try:
            if self._startup.apply(wanted):
                log.info("startup_taint_set" if wanted else "startup_taint_removed")
        except KubeError as error:
            if not _is_refusal(error):
                raise
            log.warning("startup_taint_not_written", why=str(error))
        with self._changed:
            self._tainted = None if self._tainted is wanted else self._tainted

    def _tell_condition(self) -> None:
        wanted = self._wanted
        if wanted is None or wanted == self._written:
            return
        try:
            self._write_condition(wanted)
        except KubeError as error:
            if not _is_refusal(error):
                raise
            log.warning("condition_not_written", why=str(error))
        self._written = wanted

    def _write_condition(self, wanted: Condition) -> None:
        found = find_condition(self._cluster.read_node())
        if found is not None and says_the_same(found, wanted):
            return
        stays = found is not None and found.get("status") == ("True" if wanted.is_ready else "False")
        since = str(found.get("lastTransitionTime")) if found is not None and stays else None
        self._cluster.patch_status(render_condition(wanted, self._now(), since=since))
        log.info("condition_written", ready=wanted.is_ready, reason=wanted.reason)

    def _tell(self, news: News) -> None:
        self._create(news, Subject(kind="Node", name=self._node_name, uid=self._node_name))
        for namespace, name in self._pods(news):
            uid = self._cluster.pod_uid(namespace, name)
            if uid is not None:
                self._create(news, Subject(kind="Pod", name=name, uid=uid, namespace=namespace))

    def _pods(self, news: News) -> tuple[tuple[str, str], ...]:
        if not news.devices:
            return ()
        try:
            return tuple(self._holders(frozenset(news.devices)))
        except KubeletError as error:
            log.info("holders_unknown", why=str(error), effect="pods are not told")
            return ()

    def _create(self, news: News, about: Subject) -> None:
        event = render_event(news, about, agent=self._agent, node_name=self._node_name, now=_rfc3339(news.at))
        try:
            self._cluster.create_event(event)
        except KubeError as error:
            if not _is_refusal(error):
                raise
            log.warning("event_not_written", about=about.name, why=str(error))

    def _now(self) -> str:
        return _rfc3339(self._services.wall())


def _is_refusal(error: KubeError) -> bool:
    """Whether the same request would be refused again."""
    return 400 <= error.status < 500 and error.status not in (409, 429)


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
