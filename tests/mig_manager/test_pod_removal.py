"""The policy decides how pods are removed, and a refusal is a reason."""

import pytest

from mig_manager.busy_policy import BusyPolicy
from mig_manager.pod_removal import remove_pod
from node_core.errors import KubeError


class Pods:
    """status: of the error of each request; None for none."""

    def __init__(self, status: int | None = None) -> None:
        self.requests: list[tuple[str, str, str]] = []
        self._status = status

    def evict(self, namespace: str, name: str) -> None:
        self._record("evict", namespace, name)

    def delete(self, namespace: str, name: str) -> None:
        self._record("delete", namespace, name)

    def _record(self, *request: str) -> None:
        self.requests.append((request[0], request[1], request[2]))
        if self._status is not None:
            raise KubeError("refused", status=self._status)


@pytest.mark.parametrize(
    ("policy", "requests"),
    [
        (BusyPolicy.WAIT, []),
        (BusyPolicy.EVICT, [("evict", "ml", "train-0")]),
        (BusyPolicy.FORCE, [("delete", "ml", "train-0")]),
    ],
)
def test_the_policy_decides_how_a_pod_is_removed(policy: BusyPolicy, requests: list[tuple[str, str, str]]) -> None:
    pods = Pods()
    assert remove_pod(pods, "ml", "train-0", policy) is None
    assert pods.requests == requests


@pytest.mark.parametrize("status", [403, 429])
def test_a_refusal_is_a_reason_and_no_error(status: int) -> None:
    assert remove_pod(Pods(status), "ml", "a", BusyPolicy.EVICT) == "pod ml/a is not removed: refused"
