"""Of several controllers one leads, and a controller that cannot renew its Lease stops writing."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from gpu_operator.cluster.client import LeaderClient, NotLeaderError
from gpu_operator.cluster.elector import LeaderElector
from gpu_operator.cluster.lease import DURATION, LEAD_SECONDS, Observed, Step, observe, plan_step, render_lease
from node_core.errors import KubeError
from node_core.runtime.services import Services

NOW = "2026-01-01T00:00:00.000000Z"


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeLeases:
    """The API of one Lease. error: raised in place of a response."""

    lease: dict[str, Any] | None = None
    error: KubeError | None = None
    verbs: list[str] = field(default_factory=list)
    version: int = 0

    def request(self, verb: str, path: str, *, body: Any = None, content: str | None = None) -> dict[str, Any]:
        self.verbs.append(verb)
        if self.error is not None:
            raise self.error
        if verb == "POST" and self.lease is None:
            return self._store(body)
        if self.lease is None:
            raise KubeError("missing", status=404)
        if verb == "POST" or (
            verb == "PUT" and body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]
        ):
            raise KubeError("conflict", status=409)
        return self._store(body) if verb == "PUT" else self.lease

    def _store(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.lease


def elector(leases: FakeLeases, clock: Clock, identity: str = "one") -> LeaderElector:
    api: Any = leases
    return LeaderElector(Services(clock=clock), api=api, namespace="ns", identity=identity, on_lead=lambda: None)


def test_the_first_controller_leads_and_the_second_waits() -> None:
    leases, clock = FakeLeases(), Clock()
    one, two = elector(leases, clock), elector(leases, clock, "two")
    one.step()
    two.step()
    assert (one.is_leader(), two.is_leader()) == (True, False)


def test_the_leader_renews_without_reads() -> None:
    leases, clock = FakeLeases(), Clock()
    one = elector(leases, clock)
    one.step()
    one.step()
    one.step()
    assert leases.verbs == ["GET", "POST", "PUT", "PUT"]


def test_a_lease_that_does_not_change_expires_for_the_others_after_its_duration() -> None:
    leases, clock = FakeLeases(), Clock()
    elector(leases, clock).step()
    two = elector(leases, clock, "two")
    two.step()
    clock.now += DURATION
    two.step()
    assert not two.is_leader()
    clock.now += 1
    two.step()
    assert two.is_leader()
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 1


def test_a_lease_that_changes_does_not_expire_whatever_the_wall_clocks_are() -> None:
    leases, clock = FakeLeases(), Clock()
    one, two = elector(leases, clock), elector(leases, clock, "two")
    for _ in range(20):
        one.step()
        two.step()
        clock.now += DURATION / 2
    assert not two.is_leader()


def test_a_leader_that_cannot_renew_stops_before_another_one_can_begin() -> None:
    leases, clock = FakeLeases(), Clock()
    one = elector(leases, clock)
    one.step()
    leases.error = KubeError("no response")
    clock.now += LEAD_SECONDS - 1
    one.step()
    assert one.is_leader(), "one failed renewal changes nothing"
    clock.now += 1
    assert not one.is_leader()
    assert LEAD_SECONDS + 20 <= DURATION, "a request that was sent at the last moment ends within its timeouts"


def test_a_leader_that_was_replaced_notices_at_its_next_renewal() -> None:
    leases, clock = FakeLeases(), Clock()
    one, two = elector(leases, clock), elector(leases, clock, "two")
    one.step()
    two.step()
    clock.now += DURATION + 1
    two.step()
    one.step()
    assert (one.is_leader(), two.is_leader()) == (False, True)
    one.step()
    assert not one.is_leader()


def test_two_controllers_that_take_an_expired_lease_at_once_do_not_both_lead() -> None:
    leases, clock = FakeLeases(lease={"metadata": {"resourceVersion": "0"}, "spec": {"holderIdentity": ""}}), Clock()
    one, two = elector(leases, clock), elector(leases, clock, "two")
    read = leases.request("GET", "")
    two._observed = one._observed = Observed(lease=read, since=0.0)
    two._read = one._read = lambda: read  # type: ignore[method-assign]
    one.step()
    two.step()
    assert (one.is_leader(), two.is_leader()) == (True, False)


def test_a_deleted_lease_is_created_again() -> None:
    leases, clock = FakeLeases(), Clock()
    one = elector(leases, clock)
    one.step()
    leases.lease = None
    one.step()
    one.step()
    assert one.is_leader()


def test_a_released_lease_is_free_at_once() -> None:
    leases, clock = FakeLeases(), Clock()
    one, two = elector(leases, clock), elector(leases, clock, "two")
    one.step()
    one.release()
    two.step()
    assert (one.is_leader(), two.is_leader()) == (False, True)


def test_a_controller_that_does_not_lead_releases_nothing() -> None:
    leases, clock = FakeLeases(), Clock()
    one, two = elector(leases, clock), elector(leases, clock, "two")
    one.step()
    two.step()
    two.release()
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == "one"


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": None}])
def test_a_lease_without_a_holder_can_be_taken(spec: Any) -> None:
    observed = observe(None, {"metadata": {}, "spec": spec}, 0.0)
    assert plan_step(observed, "one", 0.0) is Step.TAKE
    assert render_lease("l", "ns", "one", observed, now=NOW)["spec"]["leaseTransitions"] == 1


def test_a_client_that_does_not_lead_sends_no_write() -> None:
    client = LeaderClient(kubeconfig="/none", user_agent="t", is_leader=lambda: False)
    with pytest.raises(NotLeaderError):
        client.request("PATCH", "/api/v1/nodes/n")
    with pytest.raises(KubeError, match="no usable cluster configuration"):
        client.request("GET", "/api/v1/nodes/n")


def test_the_lead_counts_from_the_begin_of_a_renewal_and_not_from_its_response() -> None:
    """The Lease of a slow API server can have expired for others before."""
    leases, clock = FakeLeases(), Clock()
    one, request = elector(leases, clock), leases.request

    def respond_late(*arguments: Any, **more: Any) -> dict[str, Any]:
        clock.now += LEAD_SECONDS / 2
        return request(*arguments, **more)

    leases.request = respond_late  # type: ignore[method-assign]
    one.step()
    assert not one.is_leader()


def test_a_controller_that_stops_does_not_lead_any_more() -> None:
    one = elector(FakeLeases(), Clock())
    one.step()
    assert one.is_leader()
    one.stop()
    assert not one.is_leader()
