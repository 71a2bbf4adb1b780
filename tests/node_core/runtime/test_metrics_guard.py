"""Authorization of requests for /metrics by the API server."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from node_core.errors import KubeError
from node_core.kube.access import AccessApi
from node_core.kube.http import ApiClient
from node_core.runtime.metrics_guard import (
    ALLOWED_SECONDS,
    LONGEST_TOKEN,
    REFUSED_SECONDS,
    REMEMBERED,
    UNKNOWN_SECONDS,
    MetricsGuard,
    bearer_token,
    cluster_guard,
)
from simulation.apiserver import ApiServer

TOKEN_REVIEW = ("create", "/apis/authentication.k8s.io/v1/tokenreviews")
ACCESS_REVIEW = ("create", "/apis/authorization.k8s.io/v1/subjectaccessreviews")


class Cluster:
    """An API server, and a guard with its own clock. The user `scraper` can get /metrics, the user `other` cannot."""

    def __init__(self, server: ApiServer, kubeconfig: Path) -> None:
        self.server = server
        self.kubeconfig = str(kubeconfig)
        self.now = 0.0
        access = AccessApi(ApiClient(kubeconfig=self.kubeconfig, user_agent="test"))
        self.guard = MetricsGuard(access, clock=lambda: self.now)

    def status(self, token: str) -> int:
        return self.guard.status(f"Bearer {token}")

    def reviews(self) -> tuple[int, int]:
        """The number of requests to the API server, for tokens and for permissions."""
        return self.server.requests[TOKEN_REVIEW], self.server.requests[ACCESS_REVIEW]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ApiServer(tokens={"scraper-token": "scraper", "other-token": "other"}) as server:
        server.allow_paths("scraper")
        server.write_kubeconfig(tmp_path / "kubeconfig")
        yield Cluster(server, tmp_path / "kubeconfig")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer scraper-token", 200),
        ("Bearer other-token", 403),
        ("Bearer unknown", 401),
        ("Basic abc", 401),
        (None, 401),
    ],
)
def test_only_a_user_with_the_permission_is_allowed(cluster: Cluster, header: str | None, status: int) -> None:
    assert cluster_guard(cluster.kubeconfig).status(header) == status


def test_a_header_without_a_token_causes_no_request(cluster: Cluster) -> None:
    assert [cluster.guard.status(header) for header in (None, "Basic abc")] == [401, 401]
    assert cluster.reviews() == (0, 0)


def test_a_status_is_cached_for_a_limited_time(cluster: Cluster) -> None:
    assert [cluster.status("scraper-token") for _ in range(5)] == [200] * 5
    assert cluster.reviews() == (1, 1)
    assert [cluster.status("other-token") for _ in range(5)] == [403] * 5
    assert cluster.reviews() == (2, 2)
    cluster.server.allow_paths("other")
    cluster.now = REFUSED_SECONDS - 1
    assert (cluster.status("other-token"), cluster.reviews()) == (403, (2, 2))
    cluster.now = REFUSED_SECONDS
    assert (cluster.status("other-token"), cluster.reviews()) == (200, (3, 3))
    cluster.server.reject_token("scraper-token")
    cluster.now = ALLOWED_SECONDS - 1
    assert (cluster.status("scraper-token"), cluster.reviews()) == (200, (3, 3))
    cluster.now = ALLOWED_SECONDS
    assert (cluster.status("scraper-token"), cluster.reviews()) == (401, (4, 3))


def test_a_failed_check_is_logged_once_for_each_cause(cluster: Cluster) -> None:
    with capture_logs() as logs:
        for status in (403, 500, 503, 503, 503):
            cluster.server.fail_next(1, status)
            assert cluster.status("scraper-token") == 503
            cluster.now += UNKNOWN_SECONDS
        assert cluster.status("scraper-token") == 200
    events = [entry["event"] for entry in logs if entry["log_level"] != "debug"]
    assert events == ["metrics_access_check_failed"] * 3 + ["metrics_access_check_recovered"]
    assert "scraper-token" not in str(logs)


def test_after_a_failed_check_only_cached_tokens_are_served_for_a_while(cluster: Cluster) -> None:
    assert cluster.status("scraper-token") == 200
    cluster.server.fail_next(1, 500)
    assert [cluster.status(f"{number}") for number in range(5)] == [503] * 5
    assert cluster.status("scraper-token") == 200
    reviews = cluster.server.requests[TOKEN_REVIEW]
    cluster.now = UNKNOWN_SECONDS
    assert [cluster.status(f"{number}") for number in range(5)] == [401] * 5
    assert cluster.server.requests[TOKEN_REVIEW] == reviews + 5


def test_during_a_check_other_tokens_receive_503_without_waiting() -> None:
    requested, released, statuses = threading.Event(), threading.Event(), []

    class SilentClient(ApiClient):
        def request(self, verb: str, path: str, **request: Any) -> Any:
            requested.set()
            released.wait(60)
            raise KubeError("no route to host")

    guard = MetricsGuard(AccessApi(SilentClient(kubeconfig=None, user_agent="test")))
    first = threading.Thread(target=lambda: statuses.append(guard.status("Bearer first")))
    first.start()
    try:
        assert requested.wait(60)
        assert (guard.status("Bearer second"), statuses) == (503, [])
    finally:
        released.set()
        first.join()
    assert statuses == [503]


def test_the_cache_contains_a_limited_number_of_the_newest_tokens(cluster: Cluster) -> None:
    assert {cluster.status(f"{number}") for number in range(REMEMBERED + 1)} == {401}
    assert cluster.reviews() == (REMEMBERED + 1, 0)
    assert [cluster.status(f"{number}") for number in (1, REMEMBERED)] == [401, 401]
    assert cluster.reviews() == (REMEMBERED + 1, 0), "the status of these tokens is cached"
    assert cluster.status("0") == 401
    assert cluster.reviews() == (REMEMBERED + 2, 0), "the status of the oldest token is not cached"


def test_a_token_that_is_checked_again_is_among_the_newest(cluster: Cluster) -> None:
    assert {cluster.status(f"{number}") for number in range(REMEMBERED)} == {401}
    cluster.now = REFUSED_SECONDS
    assert [cluster.status("0"), cluster.status("new")] == [401, 401]
    reviews = cluster.reviews()
    assert cluster.status("0") == 401
    assert cluster.reviews() == reviews, "the status of this token is cached"


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer " + "a" * LONGEST_TOKEN, "a" * LONGEST_TOKEN),
        ("Bearer " + "a" * (LONGEST_TOKEN + 1), None),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer \x00", None),
        ("Bearer é", None),
        ("", None),
        (None, None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_bearer_token_is_parsed(header: str | None, token: str | None) -> None:
    assert bearer_token(header) == token
