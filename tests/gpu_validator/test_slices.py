"""The check of the ResourceSlices of the node."""

from pathlib import Path
from typing import Any

import pytest

from gpu_core.domain.inventory import Gpu, Inventory
from gpu_validator.check import Check, Verdict
from gpu_validator.slices import SliceReader, check_slices, parse_slices
from node_core.kube.client import NodeApi
from node_core.values import replace
from simulation.apiserver import ApiServer
from tests.gpu_validator.nodes import gpu, inventory, mig

FOUND = inventory()
FIRST, SECOND = (each.uuid for each in FOUND.gpus)


def device(uuid: str, *effects: str, attribute: str = "uuid") -> dict[str, Any]:
    taints = [{"key": "gpu.nvidia.com/xid", "value": "79", "effect": effect} for effect in effects]
    return {"name": f"d-{uuid[-4:].lower()}", "attributes": {attribute: {"string": uuid}}, "taints": taints}


def slice_of(*devices: dict[str, Any], generation: int = 1, count: int = 1) -> dict[str, Any]:
    pool = {"name": "n1", "generation": generation, "resourceSliceCount": count}
    return {"spec": {"driver": "gpu.nvidia.com", "nodeName": "n1", "pool": pool, "devices": list(devices)}}


def check(*slices: dict[str, Any], found: Inventory = FOUND) -> Check:
    return check_slices(parse_slices({"items": slices}), found)


BOTH = (device(FIRST), device(SECOND))
MIG_DEVICE = device(SECOND, attribute="parentUUID")


def test_slices_with_a_device_of_each_gpu_pass() -> None:
    passed = check(slice_of(BOTH[0], count=2), slice_of(BOTH[1], count=2))
    sentence = "the ResourceSlices of the Node have devices without taints of 2 GPUs"
    assert (passed.verdict, passed.sentence) == (Verdict.PASSED, sentence)


@pytest.mark.parametrize(
    ("slices", "sentence"),
    [
        ((), "the Node has no ResourceSlice of gpu.nvidia.com"),
        ((slice_of(*BOTH, count=2),), "the pool n1 has 1 of 2 ResourceSlices"),
        ((slice_of(*BOTH), slice_of(BOTH[0], generation=2)), f"{SECOND} is in no ResourceSlice"),
        ((slice_of(BOTH[0], device(SECOND, "NoSchedule")),), f"{SECOND} has the taint gpu.nvidia.com/xid=79"),
    ],
    ids=["none", "incomplete", "old generation", "taint"],
)
def test_what_is_missing_is_a_failure(slices: tuple[dict[str, Any], ...], sentence: str) -> None:
    failed = check(*slices)
    assert (failed.verdict, failed.sentence) == (Verdict.FAILED, sentence)
    assert failed.remedy


def test_a_taint_without_an_effect_and_the_devices_of_older_versions_of_the_api_pass() -> None:
    content = device(SECOND, "None", attribute="gpu.nvidia.com/uuid")
    older = {"name": content.pop("name"), "basic": content}
    assert check(slice_of(BOTH[0], older)).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("second", "devices", "verdict"),
    [
        (gpu(1, mig(1)), (MIG_DEVICE,), Verdict.PASSED),
        (gpu(1, mig(1)), (MIG_DEVICE, device(SECOND, "NoSchedule", attribute="parentUUID")), Verdict.PASSED),
        (gpu(1, mig(1)), (), Verdict.FAILED),
        (replace(gpu(1), mig_enabled=True), (), Verdict.PASSED),
    ],
    ids=["MIG device", "one of two MIG devices has a taint", "MIG device in no slice", "MIG mode without MIG devices"],
)
def test_a_gpu_in_mig_mode_is_offered_by_its_mig_devices(
    second: Gpu, devices: tuple[dict[str, Any], ...], verdict: Verdict
) -> None:
    assert check(slice_of(BOTH[0], *devices), found=inventory(gpu(0), second)).verdict is verdict


def test_a_failure_names_four_gpus_and_counts_the_others() -> None:
    sentence = check(slice_of(*BOTH), found=inventory(*map(gpu, range(8)))).sentence
    assert sentence.count("is in no ResourceSlice") == 4
    assert sentence.endswith(", and 2 more")


def test_only_the_slices_of_the_node_and_of_the_driver_are_read(tmp_path: Path) -> None:
    with ApiServer() as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        api = NodeApi("n1", kubeconfig=str(tmp_path / "kubeconfig"), user_agent="test")
        others: tuple[tuple[str, dict[str, str]], ...] = (
            ("own", {}),
            ("other-node", {"nodeName": "n2"}),
            ("other-driver", {"driver": "x.example.com"}),
        )
        for name, more in others:
            body = {"metadata": {"name": name}, "spec": {**slice_of(*BOTH)["spec"], **more}}
            api.request("POST", "/apis/resource.k8s.io/v1/resourceslices", body=body, content="application/json")
        assert SliceReader(api).read() == parse_slices({"items": [slice_of(*BOTH)]})
