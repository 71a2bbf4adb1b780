"""The resources that the scheduler reserves for a Pod."""

from typing import Any

import msgspec
import pytest

from node_core.scheduling.objects import Pod
from node_core.scheduling.requests import is_counted_in_devices, is_extended, pod_requests, used_by_node

GPU = "nvidia.com/gpu"


def requests(**spec: Any) -> dict[str, Any]:
    """The requests of a Pod, without the constant 1 of `pods`."""
    amounts = pod_requests(msgspec.convert({"metadata": {"name": "p"}, "spec": spec}, Pod))
    assert amounts.pop("pods") == 1
    return amounts


def container(*, sidecar: bool = False, **amounts: Any) -> dict[str, Any]:
    resources = {name.replace("gpu", GPU): amount for name, amount in amounts.items()}
    return {"name": "c", "resources": {"requests": resources}} | ({"restartPolicy": "Always"} if sidecar else {})


def test_a_pod_without_requests_needs_only_a_place() -> None:
    assert requests(containers=[{"name": "c"}]) == {}


def test_containers_are_added() -> None:
    assert requests(containers=[container(cpu="500m", gpu=1), container(cpu="2", gpu="2")]) == {"cpu": 2.5, GPU: 3}


def test_a_limit_without_a_request_is_the_request() -> None:
    resources = {"limits": {"cpu": "4", GPU: "2"}, "requests": {"cpu": "1"}}
    assert requests(containers=[{"name": "c", "resources": resources}]) == {"cpu": 1, GPU: 2}


def test_an_init_container_counts_only_if_it_needs_more() -> None:
    init = [container(cpu="1", gpu="4"), container(cpu="3")]
    assert requests(containers=[container(cpu="2", gpu="1")], initContainers=init) == {"cpu": 3, GPU: 4}


def test_a_sidecar_is_added_to_the_containers_and_to_the_init_containers_after_it() -> None:
    sidecar = container(sidecar=True, cpu="1")
    assert requests(containers=[container(cpu="2")], initContainers=[sidecar]) == {"cpu": 3}
    assert requests(containers=[container(cpu="2")], initContainers=[sidecar, container(cpu="4")]) == {"cpu": 5}
    assert requests(containers=[container(cpu="2")], initContainers=[container(cpu="4"), sidecar]) == {"cpu": 4}


def test_requests_of_the_whole_pod_replace_those_of_its_containers() -> None:
    containers = [container(cpu="1", memory="1Gi", gpu=1)]
    assert requests(containers=containers, resources={"requests": {"cpu": "4"}}) == {
        "cpu": 4,
        "memory": 1 << 30,
        GPU: 1,
    }


def test_a_limit_of_the_whole_pod_is_a_request_only_if_no_container_requests_the_resource() -> None:
    resources = {"limits": {"cpu": "4", "memory": "1Gi"}}
    assert requests(containers=[container(cpu="1")], resources=resources) == {"cpu": 1, "memory": 1 << 30}


def test_the_overhead_of_the_runtime_class_is_added() -> None:
    overhead = {"cpu": "250m", "memory": "1Mi"}
    assert requests(containers=[container(cpu="1")], overhead=overhead) == {"cpu": 1.25, "memory": 1 << 20}
    assert requests(resources={"requests": {"cpu": "2"}}, overhead={"cpu": "1"}) == {"cpu": 3}


def test_an_invalid_quantity_is_an_error() -> None:
    with pytest.raises(ValueError, match="'many' is not a quantity"):
        requests(containers=[container(gpu="many")])


def test_the_pods_of_a_node_use_its_resources_until_they_are_finished() -> None:
    spec = {"containers": [container(gpu=2)]}
    pods = [
        {"metadata": {"name": "a"}, "spec": {**spec, "nodeName": "n"}},
        {"metadata": {"name": "b"}, "spec": {**spec, "nodeName": "n"}, "status": {"phase": "Running"}},
        {"metadata": {"name": "c"}, "spec": {**spec, "nodeName": "n"}, "status": {"phase": "Succeeded"}},
        {"metadata": {"name": "d"}, "spec": {**spec, "nodeName": "n"}, "status": {"phase": "Failed"}},
        {"metadata": {"name": "e"}, "spec": spec},
        {"metadata": {"name": "f"}, "spec": {**spec, "nodeName": "m"}},
    ]
    assert used_by_node(msgspec.convert(pods, tuple[Pod, ...])) == {"n": {"pods": 2, GPU: 4}, "m": {"pods": 1, GPU: 2}}


@pytest.mark.parametrize(
    ("resource", "extended"),
    [
        (GPU, True),
        ("cpu", False),
        ("hugepages-2Mi", False),
        ("kubernetes.io/batch-cpu", False),
        ("x.kubernetes.io/a", False),
    ],
)
def test_an_extended_resource_has_a_domain_of_a_vendor(resource: str, extended: bool) -> None:
    assert is_extended(resource) is is_counted_in_devices(resource) is extended


def test_the_resource_of_a_device_class_is_counted_in_devices() -> None:
    name = "deviceclass.resource.kubernetes.io/gpu.nvidia.com"
    assert (is_extended(name), is_counted_in_devices(name)) == (False, True)
