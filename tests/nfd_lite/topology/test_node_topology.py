"""NodeResourceTopology objects: golden objects, and the comparison with observed ones."""

from collections.abc import Callable
from typing import Any

import pytest

from nfd_lite.topology.fingerprint import fingerprint
from nfd_lite.topology.kubelet_policy import KubeletPolicy
from nfd_lite.topology.node_topology import MANAGER, NodeTopology, parse_topology, render_topology
from nfd_lite.topology.zones import plan_zones
from node_core.domain.node_resources import ExclusiveResources, PodAllocation
from node_core.kubectl_yaml import dump_yaml
from node_core.values import replace
from tests.nfd_lite.topology.machines import GIB, TWO_NODES, devices, memory, pod, resources
from tests.test_crds import problems, read, schema_of

SINGLE = KubeletPolicy(policy="single-numa-node", scope="pod")
TRAINING = pod(
    ExclusiveResources(
        cpus=frozenset({2, 4}),
        devices=(devices("a", node=0),),
        memory=(memory(4 * GIB, 0), memory(GIB, 0, resource="hugepages-1Gi")),
    ),
    ExclusiveResources(),
    name="training",
)
SIDE = pod(ExclusiveResources(), name="side")


def desired(*pods: PodAllocation, policy: KubeletPolicy = SINGLE) -> NodeTopology:
    found = resources(*pods)
    names = [(each.namespace, each.name) for each in pods]
    return NodeTopology(policy=policy, zones=plan_zones(TWO_NODES, found), fingerprint=fingerprint(names))


def live(topology: NodeTopology, **metadata: Any) -> dict[str, Any]:
    """The object after a server-side apply of this agent."""
    body = render_topology(topology, node_name="n1", node_uid="u")
    owned: dict[str, Any] = {f"f:{key}": {} for key in body["metadata"].get("annotations", {})}
    entry = {"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:metadata": {"f:annotations": owned}}}
    body["metadata"] |= {"uid": "o", "resourceVersion": "5", "managedFields": [entry], **metadata}
    return body


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "topology"),
    [
        ("idle", desired()),
        ("busy", desired(TRAINING, SIDE)),
        ("none", replace(desired(TRAINING, policy=KubeletPolicy()), fingerprint=None)),
    ],
)
def test_objects(name: str, topology: NodeTopology, golden: Callable[[str, str], None]) -> None:
    golden(f"topology/{name}.yaml", dump_yaml(render_topology(topology, node_name="n1", node_uid="u")))


@pytest.mark.parametrize("topology", [desired(), desired(TRAINING, SIDE), NodeTopology(policy=SINGLE, zones=())])
def test_the_schema_accepts_the_objects(topology: NodeTopology) -> None:
    body = render_topology(topology, node_name="n1", node_uid="u")
    assert problems(body, schema_of(read("noderesourcetopology"))) == []


def test_an_applied_object_needs_no_write() -> None:
    assert desired(TRAINING).is_applied_in(parse_topology(live(desired(TRAINING))), "u")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda obj: obj["zones"].pop(), id="a zone is missing"),
        pytest.param(lambda obj: obj["zones"][0]["resources"][0].update(available="9"), id="another amount"),
        pytest.param(lambda obj: obj.pop("attributes"), id="no attributes"),
        pytest.param(lambda obj: obj.update(topologyPolicies=["None"]), id="another policy"),
        pytest.param(lambda obj: obj["metadata"]["annotations"].clear(), id="no fingerprint"),
        pytest.param(lambda obj: obj["metadata"]["managedFields"].clear(), id="an annotation of another client"),
        pytest.param(lambda obj: obj["metadata"]["ownerReferences"][0].update(uid="v"), id="another Node"),
        pytest.param(lambda obj: obj["metadata"].pop("ownerReferences"), id="no owner"),
    ],
)
def test_a_difference_needs_a_write(change: Callable[[dict[str, Any]], Any]) -> None:
    obj = live(desired(TRAINING))
    change(obj)
    assert not desired(TRAINING).is_applied_in(parse_topology(obj), "u")


def test_a_missing_object_needs_a_write() -> None:
    assert not desired().is_applied_in(None, "u")


def test_fields_of_other_clients_need_no_write() -> None:
    obj = live(desired(), labels={"a": "b"}, generation=7)
    obj["metadata"]["annotations"]["example.com/note"] = "x"
    obj["metadata"]["ownerReferences"].append({"kind": "Namespace", "name": "nfd", "uid": "n"})
    assert desired().is_applied_in(parse_topology(obj), "u")
    without = replace(desired(), fingerprint=None)
    assert not without.is_applied_in(parse_topology(obj), "u"), "an earlier fingerprint is removed"
