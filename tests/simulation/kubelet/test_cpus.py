"""The CPU manager of the simulated kubelet."""

from typing import Any

import pytest

from simulation.kubelet.cpus import CpuTable, exclusive_cpus
from simulation.kubelet.devices import AdmissionError

NUMA = {0: 0, 1: 1, 2: 0, 3: 1}


def pod(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": f"c{index}", "resources": each} for index, each in enumerate(resources)]}}


def limits(cpu: str, memory: str = "1Gi") -> dict[str, Any]:
    return {"limits": {"cpu": cpu, "memory": memory}}


@pytest.mark.parametrize(
    ("resources", "cpus"),
    [
        pytest.param([limits("2")], 2, id="a whole number"),
        pytest.param([{**limits("2"), "requests": {"cpu": "2", "memory": "1Gi"}}], 2, id="equal requests"),
        pytest.param([limits("1500m")], 0, id="a fraction"),
        pytest.param([{**limits("2"), "requests": {"cpu": "1"}}], 0, id="a smaller request"),
        pytest.param([{"limits": {"cpu": "2"}}], 0, id="no memory"),
        pytest.param([limits("2"), {}], 0, id="another container is not guaranteed"),
        pytest.param([{}], 0, id="nothing"),
    ],
)
def test_only_whole_cpus_of_guaranteed_pods_are_exclusive(resources: list[dict[str, Any]], cpus: int) -> None:
    of = pod(*resources)
    assert exclusive_cpus(of, of["spec"]["containers"][0]) == cpus


def test_cpus_belong_to_one_container_until_their_pod_ends() -> None:
    table = CpuTable(NUMA)
    assert table.allocate(("uid-a", "c"), 2, 1) == {1, 3}
    assert table.allocate(("uid-b", "c"), 1, None) == {0}
    assert table.state()["entries"] == {"uid-a": {"c": "1,3"}, "uid-b": {"c": "0"}}
    assert table.state()["defaultCpuSet"] == "2"
    with pytest.raises(AdmissionError, match="requested=2, available=1"):
        table.allocate(("uid-c", "c"), 2, None)
    table.release("uid-a")
    assert table.available() == {1, 2, 3}


def test_without_the_static_policy_no_container_gets_cpus() -> None:
    assert CpuTable().allocate(("uid-a", "c"), 2, None) == frozenset()
