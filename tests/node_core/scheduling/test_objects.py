"""Decoding of Nodes and Pods."""

import msgspec

from node_core.scheduling.objects import Node, NodeSelectorTerm, Pod, Requirement, Taint

POD = {
    "metadata": {"name": "a", "namespace": "n", "managedFields": [{}]},
    "spec": {
        "containers": [{"name": "c", "image": "i", "resources": {"limits": {"nvidia.com/gpu": 2}}}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}]
                }
            }
        },
    },
    "status": {"phase": "Succeeded"},
}


def test_a_pod_has_the_fields_that_decide_where_it_runs() -> None:
    pod = msgspec.convert(POD, Pod)
    assert pod.key == "n/a"
    assert pod.is_finished
    assert pod.spec.containers[0].resources.limits == {"nvidia.com/gpu": 2}
    selector = pod.spec.affinity.node_affinity.required_during_scheduling_ignored_during_execution
    assert selector is not None
    requirement = Requirement(key="k", operator="In", values=("v",))
    assert selector.node_selector_terms == (NodeSelectorTerm(match_expressions=(requirement,)),)


def test_a_node_has_its_taints_and_conditions() -> None:
    text = b"""{"metadata": {"name": "a"}, "spec": {"taints": [{"key": "k", "effect": "NoSchedule", "timeAdded": null}]},
        "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": null}], "images": [{"names": ["x"]}]}}"""
    node = msgspec.json.decode(text, type=Node)
    assert node.spec.taints == (Taint(key="k", effect="NoSchedule"),)
    ready = node.condition("Ready")
    assert ready is not None
    assert (ready.status, ready.since) == ("True", "")
    assert node.condition("GPUReady") is None
