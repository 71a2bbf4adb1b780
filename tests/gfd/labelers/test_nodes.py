"""Labels beyond upstream (models, NVLink, NUMA), the mode, vGPUs, and what goes when a fact is absent."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfd.labelers import LabelOptions, labels, vgpu
from gfd.labelers.models import MAX_MODEL, model_key
from gfd.labelers.topology import group_sizes
from node_core.domain.inventory import (
    ComputeCapability,
    CudaVersion,
    Driver,
    Fabric,
    Gpu,
    GpuUuid,
    Inventory,
    NvLinkPeer,
    PciAddress,
)
from node_core.domain.labels import key_problem, sanitize, split_valid
from node_core.domain.mig import MIB
from node_core.host.pci_config import Vgpu, VgpuScan

T4 = "Tesla T4"
A40 = "NVIDIA A40"
SERVER = "NVIDIA RTX PRO 6000 Blackwell Server Edition"
WORKSTATION = "NVIDIA RTX PRO 6000 Blackwell Workstation Edition"
MAX_Q = "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition"


def at(number: int) -> PciAddress:
    return PciAddress(f"0000:{number:02x}:00.0")


def gpu(number: int, model: str = T4, **facts: Any) -> Gpu:
    return replace(
        Gpu(
            index=number,
            uuid=GpuUuid(f"GPU-{number}"),
            minor=number,
            model=model,
            memory_bytes=15360 * MIB,
            compute=ComputeCapability(major=7, minor=5),
            address=at(number),
        ),
        **facts,
    )


def linked(number: int, *others: int, **facts: Any) -> Gpu:
    return gpu(number, peers=tuple(NvLinkPeer(address=at(other), links=4) for other in others), **facts)


def of(prefix: str, *gpus: Gpu, classes: dict[PciAddress, str] | None = None) -> dict[str, str]:
    start = f"nvidia.com/gpu.{prefix}"
    options = LabelOptions(machine="m", pci_classes=classes)
    found = labels(Inventory(driver=None, gpus=gpus), options)
    return {key.removeprefix(start): value for key, value in found.items() if key.startswith(start)}


def test_every_model_has_its_own_labels() -> None:
    ampere = ComputeCapability(major=8, minor=6)
    a40 = gpu(2, A40, memory_bytes=46068 * MIB, compute=ampere, mig_enabled=True)
    assert of("product.", gpu(0), gpu(1), a40) == {
        "Tesla-T4.count": "2",
        "Tesla-T4.memory": "15360",
        "Tesla-T4.family": "turing",
        "NVIDIA-A40.count": "1",
        "NVIDIA-A40.memory": "46068",
        "NVIDIA-A40.family": "ampere",
    }


def test_models_that_differ_only_in_what_keys_cannot_hold_are_one() -> None:
    assert of("product.", gpu(0, "Tesla T4"), gpu(1, "Tesla  (T4)"))["Tesla-T4.count"] == "2"


def test_a_model_without_a_letter_has_no_labels_of_its_own() -> None:
    assert of("product.", gpu(0, "(?)")) == {}


@pytest.mark.parametrize(
    ("model", "key"),
    [
        (T4, "Tesla-T4"),
        (SERVER, "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition"),
        (WORKSTATION, "NVIDIA-RTX-PRO-6000-Blackwell-Works-"),
        (MAX_Q, "NVIDIA-RTX-PRO-6000-Blackwell-Max-Q-"),
    ],
)
def test_a_long_model_is_shortened_and_told_apart(model: str, key: str) -> None:
    found = model_key(model)
    assert found.startswith(key)
    assert len(found) in (len(key), MAX_MODEL)


def test_the_short_form_of_a_model_never_changes() -> None:
    assert model_key(WORKSTATION) == "NVIDIA-RTX-PRO-6000-Blackwell-Works-3836063b"


def test_long_models_that_begin_alike_do_not_collide() -> None:
    models = [f"NVIDIA {'X' * 60} {number}" for number in range(2000)]
    assert len({model_key(model) for model in models}) == len(models)


@given(st.text(max_size=120))
def test_every_model_makes_a_valid_key_or_none(model: str) -> None:
    key = model_key(model)
    assert key_problem(f"nvidia.com/gpu.product.{key}.memory") is None or not key
    assert bool(key) == bool(sanitize(model))


def test_a_thousand_passes_over_gpus_in_any_order_say_the_same() -> None:
    gpus = [
        *(gpu(number, model) for number, model in enumerate((T4, A40, SERVER, WORKSTATION, MAX_Q, T4, A40))),
        linked(7, 8, numa_node=0),
        linked(8, 7, numa_node=1),
    ]
    options = LabelOptions(machine="m", pci_classes=dict.fromkeys(map(at, range(9)), "030200"))
    chance = random.Random(7)
    first = labels(Inventory(driver=None, gpus=tuple(gpus)), options)
    assert split_valid(first) == (first, ())
    for _ in range(1000):
        chance.shuffle(gpus)
        assert list(labels(Inventory(driver=None, gpus=tuple(gpus)), options).items()) == list(first.items())


@pytest.mark.parametrize(
    ("gpus", "largest", "smallest"),
    [
        pytest.param((linked(0, 1), linked(1, 0), gpu(2)), "2", "1", id="a pair and one alone"),
        pytest.param((linked(0, 1), linked(1, 0), linked(2, 3), linked(3, 2)), "2", "2", id="two pairs"),
        pytest.param((linked(0, 1), linked(1, 0, 2), linked(2, 1)), "3", "3", id="a chain"),
        pytest.param((linked(0), linked(1, 0)), "2", "2", id="a link that one end alone tells of"),
    ],
)
def test_groups_of_gpus_that_nvlink_joins(gpus: tuple[Gpu, ...], largest: str, smallest: str) -> None:
    assert of("nvlink.", *gpus) == {"largest": largest, "smallest": smallest}


def test_one_clique_joins_its_gpus_and_two_do_not() -> None:
    one, two = (Fabric(cluster_uuid="c", clique=number) for number in (1, 2))
    assert of("nvlink.", gpu(0, fabric=one), gpu(1, fabric=one), gpu(2, fabric=two)) == {
        "largest": "2",
        "smallest": "1",
    }
    assert of("nvlink.", gpu(0, fabric=one), gpu(1, fabric=two)) == {}


def test_switches_join_all_gpus_that_have_a_link_to_one() -> None:
    assert of("nvlink.", *(gpu(number, switch_links=18) for number in range(3))) == {"largest": "3", "smallest": "3"}
    some = (gpu(0, switch_links=12), gpu(1, switch_links=12), gpu(2), gpu(3, switch_links=12, mig_enabled=True))
    assert of("nvlink.", *some) == {"largest": "2", "smallest": "1"}
    assert of("nvlink.", gpu(0, switch_links=18), gpu(1)) == {}


def test_a_clique_says_more_than_the_switches_that_lead_to_it() -> None:
    one, two = (Fabric(cluster_uuid="c", clique=number) for number in (1, 2))
    assert of("nvlink.", gpu(0, fabric=one, switch_links=18), gpu(1, fabric=two, switch_links=18)) == {}
    pair = (gpu(0, fabric=one, switch_links=18), gpu(1, fabric=one, switch_links=18))
    assert of("nvlink.", *pair, gpu(2, switch_links=18)) == {"largest": "2", "smallest": "1"}


def test_without_a_known_link_nothing_is_said_of_nvlink() -> None:
    assert of("nvlink.", gpu(0), gpu(1)) == {}
    assert of("nvlink.", linked(0, 9), linked(1, 9)) == {}
    assert of("nvlink.", linked(0, 1, mig_enabled=True), linked(1, 0)) == {}


@given(st.data(), st.integers(1, 9))
def test_groups_are_the_same_in_any_order_and_hold_every_gpu(data: st.DataObject, many: int) -> None:
    number = st.integers(0, many - 1)
    edges = data.draw(st.lists(st.tuples(number, number).filter(lambda pair: pair[0] != pair[1]), max_size=9))
    gpus = [linked(each, *(b for a, b in edges if a == each)) for each in range(many)]
    sizes = group_sizes(tuple(gpus))
    assert sum(sizes) == many
    assert group_sizes(tuple(data.draw(st.permutations(gpus)))) == sizes


def test_numa_is_said_only_where_it_is_known_of_every_gpu() -> None:
    gpus = (gpu(0, numa_node=0), gpu(1, numa_node=0), gpu(2, numa_node=1))
    assert of("numa.", *gpus) == {"nodes": "2", "largest": "2"}
    assert of("numa.", *gpus, gpu(3)) == {}


@pytest.mark.parametrize(
    ("classes", "mode"),
    [
        (["030200", "030200"], "compute"),
        (["030000", "030000"], "graphics"),
        (["030000", "030200"], "unknown"),
        (["030200"], "unknown"),
        (["038000", "038000"], "unknown"),
        ([], "unknown"),
    ],
)
def test_the_mode_follows_from_the_class_of_every_gpu(classes: list[str], mode: str) -> None:
    known = {at(number): code for number, code in enumerate(classes)}
    assert of("mode", gpu(0), gpu(1), classes=known) == {"": mode}


def test_the_mode_of_a_gpu_without_address_is_unknown_and_is_not_said_while_pci_cannot_be_read() -> None:
    assert of("mode", gpu(0, address=None), classes={at(0): "030200"}) == {"": "unknown"}
    assert of("mode", gpu(0), classes=None) == {}


def test_vgpus_are_said_with_what_they_say_of_their_host() -> None:
    first = Vgpu(address=at(1), version="460.16", branch="r460_00")
    other = Vgpu(address=at(2), version="535.1", branch="r535_00")
    silent = Vgpu(address=at(3))
    host = {"nvidia.com/vgpu.host-driver-version": "460.16", "nvidia.com/vgpu.host-driver-branch": "r460_00"}
    assert vgpu.labels(VgpuScan()) == {"nvidia.com/vgpu.present": "false"}
    assert vgpu.labels(VgpuScan(vgpus=(first,))) == {"nvidia.com/vgpu.present": "true", **host}
    assert vgpu.labels(VgpuScan(vgpus=(other, first, silent))) == {"nvidia.com/vgpu.present": "true", **host}
    assert vgpu.labels(VgpuScan(vgpus=(silent,), hidden=(at(1),))) == {"nvidia.com/vgpu.present": "true"}
    assert vgpu.labels(VgpuScan(hidden=(at(1),))) == {}


RICH = gpu(0, numa_node=0, fabric=Fabric(cluster_uuid="c", clique=1))
PEER = gpu(1, numa_node=1, fabric=Fabric(cluster_uuid="c", clique=1))
DRIVER = Driver(version="550.54.15", cuda=CudaVersion(major=12, minor=4))
RUNTIME = {f"cuda.runtime-version.{name}" for name in ("full", "major", "minor")}
RUNTIME |= {f"cuda.runtime.{name}" for name in ("major", "minor")}
VERSION = {f"cuda.driver-version.{name}" for name in ("full", "major", "minor", "revision")}
VERSION |= {f"cuda.driver.{name}" for name in ("major", "minor", "rev")}
COMPUTE = {"gpu.family", "gpu.compute.major", "gpu.compute.minor", "gpu.product.Tesla-T4.family"}


@pytest.mark.parametrize(
    ("facts", "driver", "missing"),
    [
        pytest.param({"memory_bytes": None}, DRIVER, {"gpu.memory", "gpu.product.Tesla-T4.memory"}, id="memory"),
        pytest.param({"compute": None}, DRIVER, COMPUTE, id="compute capability"),
        pytest.param({"numa_node": None}, DRIVER, {"gpu.numa.nodes", "gpu.numa.largest"}, id="NUMA node"),
        pytest.param(
            {"fabric": None}, DRIVER, {"gpu.clique", "gpu.nvlink.largest", "gpu.nvlink.smallest"}, id="fabric"
        ),
        pytest.param({"minor": None}, DRIVER, set(), id="minor number"),
        pytest.param({"address": None}, DRIVER, set(), id="address"),
        pytest.param({}, replace(DRIVER, cuda=None), RUNTIME, id="CUDA version"),
        pytest.param({}, replace(DRIVER, version=""), VERSION, id="driver version"),
        pytest.param({}, None, VERSION | RUNTIME, id="driver"),
    ],
)
def test_an_absent_fact_takes_exactly_its_labels_along(
    facts: dict[str, Any], driver: Driver | None, missing: set[str]
) -> None:
    options = LabelOptions(machine="m", pci_classes={at(0): "030200", at(1): "030200"})
    full = Inventory(driver=DRIVER, gpus=(RICH, PEER))
    less = replace(full, driver=driver, gpus=tuple(replace(each, **facts) for each in full.gpus))
    before, after = labels(full, options), labels(less, options)
    assert {key.removeprefix("nvidia.com/") for key in before.keys() - after.keys()} == missing
    assert after.keys() <= before.keys()
