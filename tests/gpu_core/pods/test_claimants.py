"""The pods whose ResourceClaims have GPUs."""

from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from gpu_core.pods.claimants import ClaimantFinder, parse_claim_drivers
from gpu_core.pods.eviction import DrainPod, parse_drain_pods
from node_core.errors import KubeError

GROUP = "/apis/resource.k8s.io"
CLAIMS = f"{GROUP}/v1/namespaces/ml/resourceclaims"


class Api:
    """claims: name -> the drivers of its devices; None: no device is allocated. status: of an error of each claim; 0 for none."""

    def __init__(
        self, claims: Mapping[str, tuple[str, ...] | None], *, status: int = 0, has_group: bool = True
    ) -> None:
        self._claims, self.status, self._has_group = claims, status, has_group
        self.requests: list[str] = []

    def request(self, verb: str, path: str, **_: Any) -> Any:
        self.requests.append(path)
        if path == GROUP and self._has_group:
            return {"versions": [{"version": "v1"}]}
        name = path.removeprefix(f"{CLAIMS}/")
        if path == GROUP or (not self.status and name not in self._claims):
            raise KubeError("not found", status=404)
        if self.status:
            raise KubeError("failed", status=self.status)
        drivers = self._claims[name]
        results = [{"driver": each, "device": "d"} for each in drivers or ()]
        return {"status": {} if drivers is None else {"allocation": {"devices": {"results": results}}}}


def pods(**claims: str) -> tuple[DrainPod, ...]:
    """Pod -> its claims, separated by spaces."""
    items = [
        {
            "metadata": {"name": name, "namespace": "ml"},
            "spec": {"resourceClaims": [{"name": each, "resourceClaimName": each} for each in of_pod.split()]},
        }
        for name, of_pod in claims.items()
    ]
    return parse_drain_pods({"items": items})


def find(found: tuple[DrainPod, ...], api: Api) -> frozenset[str]:
    return ClaimantFinder(api).find(found)  # type: ignore[arg-type]


def test_pods_count_whose_claims_have_a_gpu_of_the_driver() -> None:
    api = Api({"gpu": ("gpu.nvidia.com",), "nic": ("nic.example.com",), "both": ("nic.example.com", "gpu.nvidia.com")})
    found = pods(train="nic gpu", net="nic", mixed="both", web="", late="unknown")
    assert find(found, api) == {"ml/train", "ml/mixed"}


def test_a_claim_without_devices_has_no_gpu() -> None:
    assert find(pods(a="waiting"), Api({"waiting": None})) == frozenset()


def test_a_shared_claim_is_read_once() -> None:
    api = Api({"gpu": ("gpu.nvidia.com",)})
    assert find(pods(a="gpu", b="gpu"), api) == {"ml/a", "ml/b"}
    assert api.requests == [GROUP, f"{CLAIMS}/gpu"]


def test_no_request_is_sent_without_claims() -> None:
    api = Api({})
    assert find(pods(a="", b=""), api) == frozenset()
    assert api.requests == []


def test_the_claims_of_pods_that_stay_are_not_read() -> None:
    obj = {
        "metadata": {"name": "a", "namespace": "ml", "ownerReferences": [{"kind": "DaemonSet", "controller": True}]},
        "spec": {"resourceClaims": [{"name": "gpu", "resourceClaimName": "gpu"}]},
    }
    api = Api({"gpu": ("gpu.nvidia.com",)})
    assert find(parse_drain_pods({"items": [obj]}), api) == frozenset()
    assert api.requests == []


def test_a_cluster_without_claims_has_no_claimants() -> None:
    assert find(pods(a="gpu"), Api({}, has_group=False)) == frozenset()


def test_without_the_right_to_read_claims_each_pod_with_claims_counts() -> None:
    assert find(pods(a="gpu", b="nic", c=""), Api({}, status=403)) == {"ml/a", "ml/b"}


def test_each_change_of_the_right_to_read_claims_is_logged_once() -> None:
    api, found = Api({"gpu": ("gpu.nvidia.com",)}, status=403), pods(a="gpu")
    finder = ClaimantFinder(api)  # type: ignore[arg-type]
    with capture_logs() as lines:
        for status in (403, 403, 0, 0, 403):
            api.status = status
            assert finder.find(found) == {"ml/a"}
            finder.find(())
    assert [line["event"] for line in lines] == ["claims_not_read", "claims_read", "claims_not_read"]


def test_an_api_server_that_fails_is_an_error() -> None:
    with pytest.raises(KubeError):
        find(pods(a="gpu"), Api({}, status=500))


@pytest.mark.parametrize("allocation", [None, {"devices": {}}, {"devices": {"results": None}}])
def test_a_claim_without_devices_has_no_driver(allocation: Any) -> None:
    assert parse_claim_drivers({"status": {"allocation": allocation}}) == frozenset()
