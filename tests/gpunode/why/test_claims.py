"""Pods that wait for ResourceClaims."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from gpunode.cluster.claim_devices import ClaimDevice
from gpunode.cluster.claim_objects import ResourceClaim
from gpunode.why import snapshot
from gpunode.why.claims import ClaimsExplanation, explain_claims
from gpunode.why.pod import PodDetails
from gpunode.why.subject import ClaimSnapshot, Subject
from node_core.errors import KubeError
from simulation.apiserver import ApiServer
from tests.conftest import Golden
from tests.gpunode.recorded import load_cluster
from tests.gpunode.verbs import run_verb, without_styles
from tests.gpunode.why.conftest import Why

CLASS, MIG = "gpu.nvidia.com", "mig.nvidia.com"
CASES = ("wants-two", "wants-a-product", "wants-a-slice", "wants-another-class", "without-claim", "without-template")


@pytest.fixture(scope="module")
def server() -> Any:
    with ApiServer() as running:
        load_cluster(running, "dra")
        yield running


@pytest.mark.golden
@pytest.mark.parametrize("name", CASES)
def test_the_explanation_of_a_claim_is_the_golden_file(why: Why, golden: Golden, name: str) -> None:
    result = why(name)
    assert (result.exit_code, result.stderr) == (1, "")
    golden(f"gpunode/why/claim-{name}.txt", without_styles(result.stdout))


def test_a_device_class_of_another_driver_is_evaluated_by_the_scheduler_alone(why: Why) -> None:
    text = why("wants-a-nic").stdout.replace("\n", " ")
    assert "It requests 1 device of the DeviceClass nic.example.com. The scheduler alone evaluates" in text


def test_an_allocated_claim_does_not_prevent_a_pod(why: Why) -> None:
    (item,) = json.loads(why("allocated", "-o", "json").stdout)["items"]
    assert item["state"] == "Placeable"
    assert item["findings"] == [
        "The ResourceClaim team/two-gpus is allocated: gpu-0 of the pool dra-1, gpu-1 of the pool dra-1, gpu-3 of the pool dra-1."
    ]


def test_a_manifest_whose_claim_cannot_be_allocated_cannot_be_placed(why: Why, tmp_path: Path) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "new"},
        "spec": {
            "containers": [{"name": "main", "image": "train"}],
            "resourceClaims": [{"name": "gpu", "resourceClaimName": "wants-two"}],
        },
    }
    (tmp_path / "pod.yaml").write_text(yaml.safe_dump(pod))
    result = why("-f", str(tmp_path / "pod.yaml"))
    assert result.exit_code == 1
    assert "but its claims cannot be allocated." in result.stdout.replace("\n", " ")


@pytest.mark.parametrize("status", [403, 404])
def test_claims_that_cannot_be_read_are_a_note(why: Why, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    def refuse(*_: object) -> None:
        raise KubeError("you are not permitted to list resourceclaims", status=status)

    monkeypatch.setattr(snapshot, "read_resource_version", refuse)
    (item,) = json.loads(why("wants-two", "-o", "json").stdout)["items"]
    assert item["findings"] == ["The scheduler states: cannot allocate all claims. It concerns claims."]
    assert item["notes"] == [
        "The resource claims of the pod were not evaluated: you are not permitted to list resourceclaims."
    ]


def test_a_pod_without_claims_needs_no_request_for_claims(server: ApiServer, tmp_path: Path) -> None:
    server.write_kubeconfig(tmp_path / "kubeconfig")
    server.store.create("pods", {"metadata": {"name": "plain", "namespace": "team"}, "spec": {"containers": []}})
    server.forget_requests()
    run_verb("why", "plain", "-n", "team", "--kubeconfig", str(tmp_path / "kubeconfig"))
    assert not [path for _, path in server.requests if "resource.k8s.io" in path]
    server.store.delete("pods", "plain", namespace="team")


def explain(request: dict[str, Any], *devices: ClaimDevice) -> ClaimsExplanation:
    claim = {"metadata": {"name": "c", "namespace": "team"}, "spec": {"devices": {"requests": [request]}}}
    pod = {
        "metadata": {"name": "a", "namespace": "team"},
        "spec": {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]},
        "status": {"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "c"}]},
    }
    known = ClaimSnapshot(
        claims={"team/c": msgspec.convert(claim, ResourceClaim)},
        devices={"n1": devices} if devices else {},
        classes=frozenset({CLASS, MIG}),
    )
    return explain_claims(Subject(pod=msgspec.convert(pod, PodDetails)), known)


TAINTED = ClaimDevice(name="gpu-0", device_class=CLASS, taints=("a/b:NoSchedule",))
FREE = ClaimDevice(name="gpu-1", device_class=CLASS)
USED = ClaimDevice(name="gpu-2", device_class=CLASS, claims=("team/x",), pods=("team/p",))


@pytest.mark.parametrize(
    ("more", "devices", "is_blocked"),
    [
        ({}, (), True),
        ({}, (FREE,), False),
        ({}, (USED, TAINTED), True),
        ({"tolerations": [{"operator": "Exists"}]}, (TAINTED,), False),
        ({"count": 2}, (FREE, USED), True),
        ({"allocationMode": "All"}, (USED,), False),
        ({"adminAccess": True}, (USED,), False),
    ],
)
@pytest.mark.parametrize("is_flat", [True, False], ids=["v1beta1", "v1"])
def test_a_claim_is_blocked_only_if_too_few_devices_are_left_whatever_the_selectors_are(
    more: dict[str, Any], devices: tuple[ClaimDevice, ...], *, is_blocked: bool, is_flat: bool
) -> None:
    content = {"deviceClassName": CLASS, **more}
    found = explain({"name": "gpu", **(content if is_flat else {"exactly": content})}, *devices)
    assert found.is_blocked is is_blocked
    assert len(found.findings) == 1


def test_alternatives_are_evaluated_by_the_scheduler_alone() -> None:
    found = explain({"name": "gpu", "firstAvailable": [{"name": "a", "deviceClassName": CLASS}]})
    assert (found.is_blocked, len(found.findings)) == (False, 1)


def test_a_gpu_is_allocated_by_its_mig_devices_on_demand_and_they_by_the_gpu() -> None:
    full = ClaimDevice(name="gpu-0", device_class=CLASS, counter_sets=("gpu-0",))
    place = ClaimDevice(name="gpu-0-mig-1g10gb-19-0", device_class=MIG, counter_sets=("gpu-0",))
    other = msgspec.structs.replace(place, name="gpu-0-mig-1g10gb-19-1")
    claimed = {"claims": ("team/x",), "pods": ("team/p",)}
    wants_full, wants_mig = ({"exactly": {"deviceClassName": each}} for each in (CLASS, MIG))
    found = explain(wants_full, full, msgspec.structs.replace(place, **claimed))
    assert found.is_blocked
    assert "1 is allocated (by team/p)" in found.findings[0]
    assert explain(wants_mig, msgspec.structs.replace(full, **claimed), place, other).is_blocked
    beside = explain(wants_mig, full, msgspec.structs.replace(place, **claimed), other)
    assert not beside.is_blocked
    assert "fits beside others" in beside.findings[0]
