"""The devices that a request gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_plugin.devices import Plan
from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import PlanOptions
from device_plugin.plan.withhold import Cause, withhold
from gpu_core.domain.inventory import Fault, GpuUuid, Inventory
from gpu_core.domain.resources import GPU
from gpu_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from gpunode.topo.allocation import NOT_NAMED, select_allocation
from gpunode.topo.links import describe_topology
from gpunode.topo.render_allocation import count_links, explain
from node_core.errors import NodeError, SettingsError
from node_core.values import replace
from tests.device_plugin.conftest import make_gpu
from tests.device_plugin.plan.plans import MIXED, inventory
from tests.gpunode.topo.topologies import inventories

PAIRS = inventory(*(make_gpu(at, numa=at // 2, links={at ^ 1: 4}) for at in range(4)))
"""GPUs 0 and 1, and GPUs 2 and 3, are linked."""
MIG = inventory(*(make_gpu(at, ["1g.10gb", "1g.10gb", "3g.40gb"]) for at in range(2)))


def plan(node: Inventory = PAIRS, options: PlanOptions | None = None) -> Plan:
    return plan_devices(node, options or PlanOptions())


def indexes(plan_: Plan, size: int, named: str | None = None, resource: str | None = None, **in_use: str) -> list[str]:
    used = {f"GPU-{name.removeprefix('gpu')}": pod for name, pod in in_use.items()}
    return [device.index for device in select_allocation(plan_, size, resource, named, used).devices]


def test_a_linked_pair_is_selected() -> None:
    assert indexes(plan(), 2) == ["0", "1"]
    assert indexes(plan(), 2, gpu0="ml/train") == ["2", "3"]


def test_one_gpu_does_not_split_a_linked_pair() -> None:
    assert indexes(plan(), 1, gpu0="ml/train") == ["1"]


def test_devices_are_named_by_index_uuid_address_or_id() -> None:
    assert indexes(plan(), 2, "3, GPU-1,0000:00:00.0") == ["0", "1"]


def test_a_named_device_may_be_in_use() -> None:
    assert indexes(plan(), 2, "0,1", gpu0="ml/train") == ["0", "1"]


def test_each_device_that_is_not_available_has_a_reason() -> None:
    sick = withhold(plan(), [Cause(why=lambda _, device: "it is lost" if device.index == "3" else None)])
    found = select_allocation(sick, 1, None, None, {"GPU-0": "ml/train"})
    assert {device.index: why for device, why in found.unavailable} == {
        "0": "in use by the pod ml/train",
        "3": "unhealthy: it is lost",
    }
    named = select_allocation(sick, 1, None, "1", {})
    assert {why for _, why in named.unavailable} == {NOT_NAMED, "unhealthy: it is lost"}


def test_the_score_is_the_sum_of_the_links() -> None:
    found = select_allocation(plan(), 3, None, None, {})
    assert found.score == 420 + 10 + 10
    groups = count_links(found, describe_topology(PAIRS, {}))
    assert [(pair.term, pair.path.value, count) for pair, count in groups] == [("NV4", "node", 1), ("SYS", "system", 2)]
    assert sum(pair.weight * count for pair, count in groups) == found.score


@given(inventories(8), st.integers(1, 8))
def test_the_score_is_the_sum_of_the_links_of_any_node(node: Inventory, size: int) -> None:
    whole = replace(node, gpus=tuple(replace(gpu, mig_enabled=False, mig_devices=()) for gpu in node.gpus))
    if size <= len(whole.gpus):
        found = select_allocation(plan(whole), size, None, None, {})
        groups = count_links(found, describe_topology(whole, {}))
        assert sum(pair.weight * count for pair, count in groups) == found.score


@pytest.mark.parametrize(
    ("size", "named", "resource", "problem"),
    [
        (
            1,
            None,
            "nvidia.com/gpus",
            "--resource: the node does not have nvidia.com/gpus (did you mean nvidia.com/gpu?)",
        ),
        (1, None, "a b", "--resource: the resource name 'nvidia.com/a b' is not valid"),
        (1, "9", None, "--available: no device of nvidia.com/gpu matches 9"),
        (1, "x", None, "--available: 'x' does not name a device"),
    ],
    ids=["resource", "name", "device", "form"],
)
def test_a_wrong_name_is_a_wrong_command_line(size: int, named: str | None, resource: str | None, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        select_allocation(plan(), size, resource, named, {})
    assert raised.value.problems[0].startswith(problem)


def test_all_wrong_names_are_reported() -> None:
    with pytest.raises(SettingsError) as raised:
        select_allocation(plan(), 1, None, "7,,?", {})
    assert len(raised.value.problems) == 2


def test_a_request_that_cannot_be_met_states_the_first_reason() -> None:
    with pytest.raises(
        NodeError, match=r"request for 4 cannot be met: 2 of 4 .* GPU 0 \(GPU-0\) .*ml/train.*, and 1 more"
    ):
        indexes(plan(), 4, gpu0="ml/train", gpu1="ml/train")
    with pytest.raises(NodeError, match=r"request for 5 cannot be met: 4 of 4 nvidia.com/gpu are available$"):
        indexes(plan(), 5)


def test_a_node_that_advertises_nothing_states_why() -> None:
    with pytest.raises(NodeError, match=r"advertises no devices \(.*the MIG strategy is `none`"):
        indexes(plan(MIG), 1)


def test_with_several_resources_the_name_is_required() -> None:
    with pytest.raises(SettingsError, match=r"--resource: is missing. The node has nvidia.com/mig-1g.10gb, "):
        indexes(plan(MIG, MIXED), 1)
    assert indexes(plan(MIG, MIXED), 2, resource="mig-1g.10gb") == ["0:0", "1:0"]


def test_whole_gpus_are_the_default_resource() -> None:
    both = inventory(make_gpu(0), make_gpu(1, ["1g.10gb"]))
    assert select_allocation(plan(both, MIXED), 1, None, None, {}).resource == GPU


def test_a_gpu_that_cannot_be_read_is_not_selected() -> None:
    known = plan()
    lost = replace(PAIRS, gpus=PAIRS.gpus[1:], faults=(Fault(index=0, uuid=GpuUuid("GPU-0"), reason="x"),))
    assert indexes(plan_devices(lost, PlanOptions(), known=known), 2) == ["2", "3"]


def shared(*, refuse: bool = False) -> PlanOptions:
    entry = SharedResource(resource=GPU, advertised=GPU, replicas=2)
    sharing = Sharing(strategy=SharingStrategy.TIME_SLICING, resources=(entry,), fail_requests_greater_than_one=refuse)
    return PlanOptions(sharing=sharing)


def test_replicas_of_different_gpus_are_selected() -> None:
    found = select_allocation(plan(options=shared()), 2, None, None, {"GPU-0::0": "ml/train"})
    assert [device.id for device in found.devices] == ["GPU-1::0", "GPU-2::0"]
    assert [*explain(found)] == [
        "These replicas are of the devices with the fewest replicas in use (policy `distributed`)."
    ]


def test_a_request_that_the_plugin_refuses_is_an_error() -> None:
    with pytest.raises(NodeError, match=r"nvidia.com/gpu: requested 2 shared devices"):
        indexes(plan(options=shared(refuse=True)), 2)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (MIXED, "These MIG devices are of as many GPUs as possible (policy `distributed`)."),
        (replace(MIXED, mig_policy="packed"), "These MIG devices are of as few GPUs as possible (policy `packed`)."),
    ],
    ids=["distributed", "packed"],
)
def test_the_policy_of_mig_devices_is_stated(options: PlanOptions, sentence: str) -> None:
    found = select_allocation(plan(MIG, options), 2, "mig-1g.10gb", None, {})
    assert [*explain(found)] == [sentence]
    assert count_links(found, describe_topology(MIG, {})) == []
