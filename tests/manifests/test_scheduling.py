"""The chart and node labels: no agent waits for a label that no agent publishes."""

import json
import re
from typing import Any

import msgspec
import pytest

from gfd.labelers import DECLARED
from gpu_core.clients.pause import DEPLOY, Pause
from node_core.scheduling.filters import find_unmatched
from node_core.scheduling.objects import Metadata, Node, Pod
from tests.e2e.cluster.errors import ClusterError
from tests.manifests.helm import CHART, Obj, load, named, template

pytestmark = pytest.mark.usefixtures("helm_binary")

PRESENT = "nvidia.com/gpu.present"
VENDOR = "feature.node.kubernetes.io/pci-10de.present"
PRODUCT = "nvidia.com/gpu.product"
GPU_AGENTS = ("gfd", "gpu-device-plugin")


def pods(values: Obj) -> dict[str, Obj]:
    objects = named(load(template(*(f"--set-json={key}={json.dumps(value)}" for key, value in values.items()))))
    return {
        name: each["spec"]["template"]["spec"] for (kind, name), each in objects.items() if kind == "DaemonSet"
    }  # fmt: skip


def required(*terms: Obj) -> Obj:
    """A required node affinity with one expression for each term."""
    selector = {"nodeSelectorTerms": [{"matchExpressions": [term]} for term in terms]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": selector}}


def has_label(key: str) -> Obj:
    return {"key": key, "operator": "In", "values": ["true"]}


AFFINITY_OF_NVIDIA = required(
    has_label(VENDOR),
    {"key": "feature.node.kubernetes.io/cpu-model.vendor_id", "operator": "In", "values": ["NVIDIA"]},
    has_label(PRESENT),
)


def test_the_node_selection_of_the_top_level_does_not_reach_nfd_lite() -> None:
    found = pods({"nodeSelector": {PRESENT: "true", "pool": "a"}, "affinity": AFFINITY_OF_NVIDIA})
    assert not {"nodeSelector", "affinity"} & found["nfd-lite"].keys()
    for agent in GPU_AGENTS:
        assert found[agent]["nodeSelector"] == {PRESENT: "true", "pool": "a"}
        assert [each["matchExpressions"][:1] for each in terms_of(found[agent]["affinity"])] == [
            each["matchExpressions"] for each in terms_of(AFFINITY_OF_NVIDIA)
        ]


def test_a_label_that_is_removed_by_mistake_ends_no_pod_on_a_node_with_other_labels_of_gpus() -> None:
    """A DaemonSet deletes its pod at once when the node does not match any more."""
    for agent in GPU_AGENTS:
        affinity = pods({})[agent]["affinity"]
        assert affinity != AFFINITY_OF_NVIDIA
        for label in (PRESENT, VENDOR, "feature.node.kubernetes.io/pci-0302_10de.present"):
            assert has_label(label) in [each["matchExpressions"][0] for each in terms_of(affinity)]


def terms_of(affinity: Obj) -> list[Obj]:
    found: list[Obj] = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return found


@pytest.mark.parametrize("affinity", [None, {}])
def test_only_a_null_affinity_runs_the_agents_of_gpus_on_every_node(affinity: Obj | None) -> None:
    for agent in GPU_AGENTS:
        assert ("affinity" in pods({"affinity": affinity})[agent]) == (affinity is not None)


def selects(pod: Obj, labels: dict[str, str]) -> bool:
    """Whether the pod may run on a Node with these labels."""
    decoded = msgspec.convert({"metadata": {}, "spec": pod}, type=Pod, strict=False)
    return find_unmatched(decoded, Node(metadata=Metadata(name="n", labels=labels))) is None


AGENTS_OF_COMPONENTS = {
    "gfd": "gpu-feature-discovery",
    "gpu-device-plugin": "device-plugin",
    "gpu-exporter": "dcgm-exporter",
    "mig-manager": "mig-manager",
    "gpu-toolkit": "container-toolkit",
    "gpu-validator": "operator-validator",
}
ALL_ON: Obj = {
    "dcgmExporter": {"enabled": True},
    "migManager": {"enabled": True, "nodeSelector": None},
    "topologyUpdater": {"enable": True},
    "toolkit": {"enabled": True},
    "validator": {"enabled": True},
}


@pytest.mark.parametrize("values", [{}, {"affinity": AFFINITY_OF_NVIDIA}, {"gateLabel": PRESENT}], ids=str)
def test_a_node_opts_out_of_an_agent_by_the_label_of_nvidia_and_of_all_by_operands(values: Obj) -> None:
    found = pods({**ALL_ON, **values})
    gpu = {PRESENT: "true", VENDOR: "true", "nvidia.com/mig.capable": "true"}
    for agent, component in AGENTS_OF_COMPONENTS.items():
        labels = {f"{DEPLOY}{each}": "false" for each in AGENTS_OF_COMPONENTS.values() if each != component}
        assert selects(found[agent], {**gpu, **labels})
        assert not selects(found[agent], {**gpu, f"{DEPLOY}{component}": "false"})
        assert not selects(found[agent], {**gpu, f"{DEPLOY}operands": "false"})


def test_the_values_of_a_pause_and_of_the_operator_end_no_agent() -> None:
    found = pods(ALL_ON)
    gpu = {PRESENT: "true", "nvidia.com/mig.capable": "true"}
    for agent, component in AGENTS_OF_COMPONENTS.items():
        for value in ("true", "", *Pause):
            assert selects(found[agent], {**gpu, f"{DEPLOY}{component}": value, f"{DEPLOY}operands": "true"})


def test_a_node_cannot_opt_out_of_nfd_lite_which_publishes_the_labels_that_others_select() -> None:
    found = pods(ALL_ON)
    for agent in ("nfd-lite", "nfd-lite-topology"):
        assert selects(found[agent], {f"{DEPLOY}operands": "false"})


def test_the_affinity_of_the_values_stays_besides_the_labels_for_opting_out() -> None:
    preferred = [{"weight": 1, "preference": {"matchExpressions": [has_label("pool")]}}]
    fields = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}
    own: Obj = {
        "podAntiAffinity": {"a": []},
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [fields]},
        },
    }
    found = pods({"affinity": own})["gfd"]["affinity"]
    assert found["podAntiAffinity"] == own["podAntiAffinity"]
    assert found["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] == preferred
    (term,) = terms_of(found)
    assert term["matchFields"] == fields["matchFields"]
    assert len(term["matchExpressions"]) == 2


def test_nfd_lite_and_the_single_process_have_their_own_node_selection() -> None:
    own: Obj = {"nodeSelector": {"pool": "a"}, "affinity": required(has_label("pool"))}
    for agent, values in (("nfd-lite", {"nfd": own}), ("gpunode", {"singleProcess": {"enabled": True, **own}})):
        found = pods(values)[agent]
        assert (found["nodeSelector"], found["affinity"]) == (own["nodeSelector"], own["affinity"])


def test_cleanup_pods_run_where_nfd_lite_ran() -> None:
    found = pods({"cleanup": {"enabled": True}, "nodeSelector": {"pool": "a"}, "affinity": AFFINITY_OF_NVIDIA})
    assert not {"nodeSelector", "affinity"} & found["gpunode-cleanup"].keys()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nfd": {"enabled": False}}, "nfd.enabled: without nfd-lite nothing of this chart sets the label"),
        ({"nfd": {"enabled": False}, "gfd": {"enabled": False}, "affinity": None}, "nfd.enabled: without nfd-lite"),
        ({"nfd": {"enabled": False}, "devicePlugin": {"enabled": False}}, "nfd.enabled: without nfd-lite"),
        ({"nfd": {"nodeSelector": {PRESENT: "true"}}}, f"nfd: nodeSelector or affinity requires the label {PRESENT}"),
        ({"nfd": {"affinity": AFFINITY_OF_NVIDIA}}, "nfd: nodeSelector or affinity requires the label feature.node"),
        ({"singleProcess": {"enabled": True, "nodeSelector": {VENDOR: "true"}}}, "singleProcess: .* the process itself"),
        ({"singleProcess": {"enabled": True}, "nodeSelector": {"a": "b"}}, "set singleProcess.nodeSelector"),
        ({"nodeSelector": {VENDOR: "true"}}, r"the label .* needs nfd.config.sources.pci.deviceLabelFields=\[vendor\]"),
        ({"affinity": required(has_label(VENDOR))}, "the label .* needs nfd.config"),
        ({"gateLabel": f"{VENDOR}=true"}, "the label .* needs nfd.config"),
        ({"nodeSelector": {PRODUCT: "A100"}}, f"gfd: .* requires the label {PRODUCT}, which gfd itself publishes"),
        ({"affinity": required({"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["1"]})}, "gfd: nodeSelector"),
        ({"gfd": {"nodeSelector": {"nvidia.com/mig.capable": "true"}}}, "gfd: nodeSelector"),
        ({"nfd": {"enabled": False}, "gateLabel": "nvidia.com/gpu.count=8"}, "gfd: nodeSelector"),
    ],
)  # fmt: skip
def test_agents_that_could_never_start_are_refused(values: Obj, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        pods(values)


@pytest.mark.parametrize(
    "values",
    [
        {"nfd": {"config": {"sources": {"pci": {"deviceLabelFields": ["vendor"]}}}}, "nodeSelector": {VENDOR: "true"}},
        {"nfd": {"affinity": required({"key": VENDOR, "operator": "DoesNotExist"})}},
        {"nfd": {"affinity": required(has_label(VENDOR), has_label("pool"))}},
        {"nfd": {"affinity": {"nodeAffinity": None}, "config": {"sources": None}}},
        {"nfd": {"enabled": False}, "gfd": {"enabled": False}, "devicePlugin": {"enabled": False}},
        {"nfd": {"enabled": False}, "cleanup": {"enabled": True}},
        {"gfd": {"enabled": False}, "nodeSelector": {PRODUCT: "A100"}},
        {"devicePlugin": {"nodeSelector": {PRODUCT: "A100"}}},
        {"nodeSelector": {"nvidia.com/mig.config": "all-1g.10gb", "nvidia.com/gpu.deploy.device-plugin": "true"}},
        {"nfd": {"enabled": False}, "singleProcess": {"enabled": True}},
    ],
)
def test_node_selections_that_can_be_satisfied_are_accepted(values: Obj) -> None:
    pods(values)


def test_the_chart_knows_the_labels_of_gfd() -> None:
    known = re.search(r'\$ofGfd := "(.*)" }}', (CHART / "templates/_check.tpl").read_text())
    assert known is not None
    pattern = re.compile(known[1].replace("\\\\", "\\"))
    unknown = {each.key for each in DECLARED if not pattern.match(each.key)}
    assert unknown == set()


@pytest.mark.parametrize(
    ("label", "selector"),
    [
        (VENDOR, {VENDOR: "true"}),
        (f"{VENDOR}=true", {VENDOR: "true"}),
        (f"{PRESENT}=true", {PRESENT: "true"}),
        ("node-role.kubernetes.io/gpu=", {"node-role.kubernetes.io/gpu": ""}),
        ("y=1", {"y": "1"}),
        ("", None),
    ],
)
def test_the_gate_label_replaces_the_labels_of_nfd_lite(label: str, selector: Any) -> None:
    found = pods({"nfd": {"enabled": False}, "gateLabel": label})
    assert found.keys() == set(GPU_AGENTS)
    for pod in found.values():
        assert pod.get("nodeSelector") == selector
        (term,) = terms_of(pod["affinity"])
        assert {each["operator"] for each in term["matchExpressions"]} == {"NotIn"}, "only to opt out"
    assert f"--gate-label={label}" in found["gpu-device-plugin"]["containers"][0]["args"]
    assert not any("gate" in argument for argument in found["gfd"]["containers"][0]["args"])


def test_agents_tolerate_the_taints_of_the_chart_also_with_other_tolerations() -> None:
    """NVIDIA's chart tolerates only nvidia.com/gpu."""
    values: Obj = {
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "devicePlugin": {"startupTaint": "example.com/wait=1:NoExecute"},
        "premium": {"rules": [{"name": "a", "taints": [{"key": "example.com/premium", "effect": "NoExecute"}]}]},
    }
    for pod in pods(values).values():
        assert pod["tolerations"] == [
            *values["tolerations"],
            {"key": "example.com/wait", "operator": "Exists"},
            {"key": "example.com/premium", "operator": "Exists"},
        ]
