"""The exposition of a node, as Prometheus reads it."""

import pytest

from gpu_core.domain.inventory import Fault, GpuUuid
from gpu_core.pods.holders import PodIdentity
from gpu_exporter.device_labels import RESERVED, LabelOptions
from gpu_exporter.pods.labels import select_labels
from gpu_exporter.pods.monitor import PodsSnapshot
from gpu_exporter.reading import GpuState
from gpu_exporter.selection import KNOWN, select_series
from gpu_exporter.view import Known
from gpu_exporter.xids import GpuXids, XidKey
from node_core.kubelet.podresources import ClaimedDevice
from node_core.values import replace
from simulation.scenarios.scenario import load_scenario, scenario_names
from tests.conftest import Golden
from tests.gpu_core.pods.nodes import pod
from tests.gpu_exporter.readings import scenario
from tests.gpu_exporter.test_selection import select
from tests.gpu_exporter.views import OPTIONS, expose, find, know, lose, parse, values

NODE = scenario()
BUSY, MIG, OLD = (gpu.uuid for gpu in NODE.gpus)
FORMATS = pytest.mark.parametrize("is_openmetrics", [False, True], ids=["text", "openmetrics"])


@pytest.fixture(scope="module")
def known() -> Known:
    return know(NODE)


@pytest.mark.golden
@pytest.mark.parametrize("name", scenario_names())
def test_the_exposition_of_each_scenario(name: str, golden: Golden) -> None:
    """One GPU of each model and MIG layout."""
    known = know(load_scenario(name))
    different = {(each.gpu.model, _layout(each)): each for each in reversed(known.sample.gpus)}
    sample = replace(known.sample, gpus=tuple(reversed(different.values())))
    golden(f"gpu_exporter/{name}.txt", expose(replace(known, sample=sample)))


def _layout(state: GpuState) -> tuple[object, ...]:
    return state.gpu.mig_enabled, *(mig.profile for mig in state.gpu.mig_devices)


@FORMATS
@pytest.mark.parametrize("name", [*scenario_names(), "use"])
def test_both_formats_are_valid_and_have_the_same_samples(name: str, is_openmetrics: bool) -> None:
    everything = "\n".join(f"{each}, gauge" for each in KNOWN - {"DCGM_FI_DRIVER_VERSION"})
    node = know(NODE if name == "use" else load_scenario(name))
    text = expose(node, select(everything), is_openmetrics=is_openmetrics)
    other = expose(node, select(everything), is_openmetrics=not is_openmetrics)
    assert parse(text) == parse(other)
    assert text.endswith("# EOF\n") == is_openmetrics


def test_a_gpu_has_its_labels_in_the_order_of_dcgm_exporter(known: Known) -> None:
    line = next(line for line in expose(known).splitlines() if line.startswith("DCGM_FI_DEV_GPU_TEMP"))
    assert line == (
        f'DCGM_FI_DEV_GPU_TEMP{{gpu="0",UUID="{BUSY}",pci_bus_id="00000000:10:00.0",device="nvidia0",'
        'modelName="NVIDIA H100 80GB HBM3",Hostname="n1",DCGM_FI_DRIVER_VERSION="570.1"} 61'
    )


def test_a_gpu_in_mig_mode_has_series_for_each_gpu_instance(known: Known) -> None:
    samples = parse(expose(known))
    used = find(samples, "DCGM_FI_DEV_FB_USED", UUID=MIG)
    assert [(each.labels["GPU_I_PROFILE"], each.labels["GPU_I_ID"]) for each in used] == [
        ("3g.40gb", "1"),
        ("2g.20gb", "3"),
        ("1g.10gb", "7"),
    ]
    (temperature,) = find(samples, "DCGM_FI_DEV_GPU_TEMP", UUID=MIG)
    assert "GPU_I_ID" not in temperature.labels


def test_each_mig_device_has_its_uuid(known: Known) -> None:
    infos = find(parse(expose(known)), "gpunode_mig_device_info")
    assert {each.labels["mig_uuid"] for each in infos} == {mig.uuid for mig in known.sample.gpus[1].gpu.mig_devices}
    assert {(each.labels["GPU_I_ID"], each.labels["compute_instance"]) for each in infos} == {
        ("1", "0"),
        ("3", "0"),
        ("7", "0"),
    }
    assert all(each.value == 1 for each in infos)


def test_a_gpu_that_cannot_be_read_has_no_mig_devices(known: Known) -> None:
    assert not find(parse(expose(lose(known, 1))), "gpunode_mig_device_info")


def test_a_value_that_the_board_does_not_have_is_absent(known: Known) -> None:
    samples = parse(expose(known))
    assert find(samples, "DCGM_FI_DEV_MEMORY_TEMP", UUID=BUSY)
    assert not find(samples, "DCGM_FI_DEV_MEMORY_TEMP", UUID=OLD)
    assert not find(samples, "DCGM_FI_DEV_GPU_UTIL", UUID=MIG)


def test_a_gpu_that_cannot_be_read_is_down_and_has_no_values(known: Known) -> None:
    samples = parse(expose(lose(known, 0)))
    assert [each.name for each in samples if each.labels.get("UUID") == BUSY] == [
        "DCGM_FI_DEV_XID_ERRORS",
        "gpunode_gpu_up",
    ]
    assert values(samples, "gpunode_gpu_up") == [0, 1, 1]
    assert len(find(samples, "DCGM_FI_DEV_GPU_TEMP")) == 2


def test_a_gpu_that_was_never_read_is_down() -> None:
    fault = Fault(index=1, uuid=GpuUuid("GPU-x"), reason="lost")
    samples = parse(expose(know(NODE, sample=replace(know(NODE).sample, gpus=(), faults=(fault,)))))
    assert [(each.labels["gpu"], each.value) for each in find(samples, "gpunode_gpu_up")] == [("1", 0)]


def test_a_gpu_whose_first_reading_runs_or_that_is_released_is_neither_up_nor_down(known: Known) -> None:
    states = tuple(GpuState(gpu=state.gpu) for state in known.sample.gpus)
    samples = parse(expose(replace(known, sample=replace(known.sample, gpus=states))))
    assert not find(samples, "gpunode_gpu_up")
    assert len(find(samples, "gpunode_gpu_exporter_info")) == 1


def test_failed_queries_are_counted_by_function_and_code(known: Known) -> None:
    state = replace(known.sample.gpus[0], errors={("nvmlDeviceGetMemoryInfo_v2", "UNKNOWN"): 3})
    samples = parse(expose(replace(known, sample=replace(known.sample, gpus=(state,)))))
    assert values(samples, "gpunode_gpu_query_errors_total", call="nvmlDeviceGetMemoryInfo_v2", code="UNKNOWN") == [3]


XIDS = {
    BUSY: GpuXids(total={XidKey(xid=79): 2, XidKey(xid=31): 1}, recent={XidKey(xid=79): 1}, last=79),
    MIG: GpuXids(total={XidKey(xid=94, gpu_instance=9): 1}, recent={XidKey(xid=94, gpu_instance=9): 1}),
}


def test_xids_are_counted_and_the_last_one_is_described(known: Known) -> None:
    samples = parse(expose(replace(known, xids=XIDS)))
    last = find(samples, "DCGM_FI_DEV_XID_ERRORS")
    assert [(each.labels["err_code"], each.value) for each in last] == [("79", 79), ("0", 0), ("0", 0)]
    assert [each.labels["err_msg"] for each in last][1:] == ["No Error", "No Error"]
    assert "fallen off the bus" in last[0].labels["err_msg"]
    assert values(samples, "DCGM_EXP_XID_ERRORS_COUNT", xid="79", window_size_in_ms="300000") == [1]
    assert values(samples, "DCGM_EXP_XID_ERRORS_COUNT", xid="94", GPU_I_ID="9") == [1]
    assert values(samples, "gpunode_gpu_xids_total", xid="79", kind="reboot") == [2]
    assert values(samples, "gpunode_gpu_xids_total", xid="31", kind="application") == [1]


def test_a_gpu_whose_xids_are_not_reported_has_no_last_xid(known: Known) -> None:
    last = find(parse(expose(replace(known, watched=frozenset({OLD})))), "DCGM_FI_DEV_XID_ERRORS")
    assert [each.labels["UUID"] for each in last] == [OLD]


def test_the_exporter_states_that_it_simulates(known: Known) -> None:
    (info,) = find(parse(expose(known)), "gpunode_gpu_exporter_info")
    assert (info.labels["simulated"], info.labels["driver_version"], info.labels["Hostname"]) == ("true", "570.1", "n1")
    (real,) = find(parse(expose(replace(known, is_simulated=False))), "gpunode_gpu_exporter_info")
    assert real.labels["simulated"] == "false"


def snapshot(*names: str, labels: dict[str, str] | None = None) -> PodsSnapshot:
    """Pods that have the first GPU."""
    exported = select_labels(labels or {}, (), RESERVED)
    identities = tuple(PodIdentity(uid=f"u-{name}", namespace="team", name=name, labels=exported) for name in names)
    return PodsSnapshot(pods=tuple(pod(name, BUSY) for name in names), identities=identities, is_known=True)


def test_a_device_that_one_pod_has_alone_has_the_labels_of_the_pod(known: Known) -> None:
    samples = parse(expose(replace(known, pods=snapshot("train"), xids=XIDS)))
    for name in ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_XID_ERRORS", "DCGM_EXP_XID_ERRORS_COUNT"):
        (sample,) = find(samples, name, UUID=BUSY)
        assert [sample.labels[each] for each in ("container", "namespace", "pod")] == ["main", "team", "train"]
    assert "pod" not in find(samples, "DCGM_FI_DEV_GPU_TEMP", UUID=OLD)[0].labels


def test_a_device_that_one_claim_has_alone_has_the_labels_of_the_claim_on_request(known: Known) -> None:
    claim = ClaimedDevice(claim="one", namespace="team", driver="gpu.nvidia.com", device="g", cdi=(f"a/b={BUSY}",))
    shared = PodsSnapshot(pods=(pod("a", claimed=(claim,)), pod("b", claimed=(claim,))), is_known=True)
    (plain,), (sample,) = (
        find(parse(expose(replace(known, pods=shared), options=options)), "DCGM_FI_DEV_GPU_TEMP", UUID=BUSY)
        for options in (OPTIONS, replace(OPTIONS, has_claims=True))
    )
    assert (sample.labels["dra_claim_name"], sample.labels["dra_claim_namespace"]) == ("one", "team")
    assert "pod" not in sample.labels
    assert not [name for name in plain.labels if name.startswith("dra_")]


def test_series_of_this_project_do_not_change_when_a_pod_ends(known: Known) -> None:
    changed = replace(known, xids=XIDS)
    with_pod, without = (parse(expose(replace(changed, pods=pods))) for pods in (snapshot("train"), snapshot()))
    own = [[each for each in samples if each.name.startswith("gpunode_")] for samples in (with_pod, without)]
    assert [each for each in own[0] if not each.name.startswith("gpunode_pod_")] == own[1]


def test_a_shared_device_has_no_labels_of_pods_but_each_pod_has_a_series(known: Known) -> None:
    samples = parse(expose(replace(known, pods=snapshot("a", "b"))))
    assert "pod" not in find(samples, "DCGM_FI_DEV_GPU_TEMP", UUID=BUSY)[0].labels
    assert [each.labels["pod"] for each in find(samples, "gpunode_pod_gpu_info")] == ["a", "b"]


HOSTILE = {
    "UUID": "GPU-0",
    "gpu": "9",
    "pod": "x",
    "err_msg": "x",
    "DCGM_FI_DRIVER_VERSION": "1",
    "GPU_I_ID": "x",
    "app": 'x"} 1\nDCGM_FI_DEV_GPU_TEMP{a="' + "y" * (1 << 20),
}


@FORMATS
def test_labels_of_pods_replace_no_label_and_end_no_line(known: Known, is_openmetrics: bool) -> None:
    hostile = replace(known, pods=snapshot("train", labels=HOSTILE))
    text = expose(hostile, is_openmetrics=is_openmetrics)
    temperatures = find(parse(text), "DCGM_FI_DEV_GPU_TEMP")
    assert [each.labels["UUID"] for each in temperatures] == [BUSY, MIG, OLD]
    assert temperatures[0].labels["app"].startswith('x"} 1\n')
    assert temperatures[0].labels["DCGM_FI_DRIVER_VERSION"] == "570.1"
    assert len(text) < 1 << 20


@FORMATS
def test_names_of_pods_end_no_line(known: Known, is_openmetrics: bool) -> None:
    text = expose(replace(known, pods=snapshot(HOSTILE["app"])), is_openmetrics=is_openmetrics)
    (info,) = find(parse(text), "gpunode_pod_gpu_info")
    (temperature,) = find(parse(text), "DCGM_FI_DEV_GPU_TEMP", UUID=BUSY)
    assert info.labels["pod"] == temperature.labels["pod"]
    assert info.labels["pod"].startswith('x"} 1\n')
    assert len(text) < 1 << 20


def test_a_field_can_be_a_label() -> None:
    selection = select("DCGM_FI_DEV_GPU_TEMP, label\nDCGM_FI_DEV_FB_USED, gauge")
    samples = parse(expose(know(NODE), selection))
    assert [each.labels.get("DCGM_FI_DEV_GPU_TEMP") for each in find(samples, "DCGM_FI_DEV_FB_USED")] == (
        ["61", "61", "61", "61", "33"]
    )
    assert not find(samples, "DCGM_FI_DEV_GPU_TEMP")


def test_without_a_label_of_the_host_no_series_has_one(known: Known) -> None:
    text = expose(known, options=LabelOptions(hostname_label=""))
    assert not [each for each in parse(text) if "Hostname" in each.labels]
    assert [each for each in parse(expose(known)) if "Hostname" not in each.labels] == []


def test_every_default_series_is_in_the_exposition_of_some_scenario() -> None:
    nodes = map(load_scenario, ("h100x8", "t4x1"))
    found = {line.partition("{")[0] for node in nodes for line in expose(know(node)).splitlines()}
    absent = {each.name for each in select_series().series} - found
    assert absent == {"DCGM_FI_DEV_VGPU_LICENSE_STATUS", "DCGM_EXP_XID_ERRORS_COUNT"}


def test_the_options_are_those_of_all_series(known: Known) -> None:
    text = expose(known, options=replace(OPTIONS, replaces_blanks=True))
    assert {each.labels["modelName"] for each in find(parse(text), "DCGM_FI_DEV_GPU_TEMP")} == {
        "NVIDIA-H100-80GB-HBM3",
        "Tesla-T4",
    }
