"""Premium rules: what is refused, what matches, and what comes of it."""

from typing import Any

import msgspec
import pytest

from node_core.decode import decode_struct
from node_core.domain.inventory import ComputeCapability, Fault, Gpu, GpuUuid, Inventory, PciAddress
from node_core.domain.labels import merge_collected
from node_core.domain.premium import PremiumRule, evaluate, premium_labels, wanted_taints
from node_core.domain.taints import Taint
from node_core.errors import SettingsError

TAINT = {"key": "nvidia.com/gpu.premium", "value": "true", "effect": "NoSchedule"}
SET = Taint(key="nvidia.com/gpu.premium", value="true", effect="NoSchedule")


class File(msgspec.Struct, frozen=True, kw_only=True):
    """As much of the config file as holds the rules."""

    premium: list[PremiumRule] = []


def rules(*wanted: dict[str, Any]) -> list[PremiumRule]:
    return decode_struct({"premium": list(wanted)}, File, source="config").premium


def rule(**match: Any) -> list[PremiumRule]:
    return rules({"name": "big", "match": match, "taint": TAINT, "labels": {"nvidia.com/gpu.premium": "true"}})


def gpus(
    count: int = 8, *, model: str = "NVIDIA H100 80GB HBM3", mib: int | None = 81559, compute: str | None = "9.0"
) -> tuple[Gpu, ...]:
    major, minor = (int(part) for part in compute.split(".")) if compute else (0, 0)
    return tuple(
        Gpu(
            index=index,
            uuid=GpuUuid(f"GPU-{model}-{index}"),
            minor=index,
            model=model,
            memory_bytes=None if mib is None else mib << 20,
            compute=ComputeCapability(major=major, minor=minor) if compute else None,
            address=PciAddress(f"0000:{index:02x}:00.0"),
        )
        for index in range(count)
    )


H100 = Inventory(driver=None, gpus=gpus())


def holds(inventory: Inventory = H100, **match: Any) -> bool:
    return bool(evaluate(rule(**match), inventory).matched)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, True),
        ({"product": "*H100*"}, True),
        ({"product": "nvidia-h100-*"}, True),
        ({"product": "NVIDIA H100 80GB HBM3"}, True),
        ({"product": "H100"}, False),
        ({"product": "*A100*"}, False),
        ({"memoryAtLeast": "80Gi"}, True),
        ({"memoryAtLeast": "81Gi"}, False),
        ({"memoryAtLeast": 1}, True),
        ({"computeAtLeast": "9.0"}, True),
        ({"computeAtLeast": 9.0}, True),
        ({"computeAtLeast": 9}, True),
        ({"computeAtLeast": "10.0"}, False),
        ({"computeAtLeast": "8.10"}, True),
        ({"countAtLeast": 8}, True),
        ({"countAtLeast": 9}, False),
        ({"family": "hopper"}, True),
        ({"family": "Hopper"}, True),
        ({"family": "ampere"}, False),
        ({"product": "*H100*", "family": "ampere"}, False),
        (
            {
                "product": "*H100*",
                "memoryAtLeast": "80Gi",
                "computeAtLeast": "9.0",
                "countAtLeast": 4,
                "family": "hopper",
            },
            True,
        ),
    ],
    ids=str,
)
def test_all_that_is_given_must_hold(match: dict[str, Any], expected: bool) -> None:
    assert holds(**match) is expected


def test_what_nvml_does_not_say_is_no_match() -> None:
    unknown = Inventory(driver=None, gpus=gpus(mib=None, compute=None))
    assert holds(unknown)
    assert not holds(unknown, memoryAtLeast="1Gi")
    assert not holds(unknown, computeAtLeast="1.0")
    assert not holds(unknown, family="hopper")


def test_the_count_is_of_one_model() -> None:
    mixed = Inventory(driver=None, gpus=gpus(4) + gpus(4, model="NVIDIA H200", mib=143771))
    assert holds(mixed, countAtLeast=4)
    assert not holds(mixed, countAtLeast=5)


def test_a_node_without_gpus_is_never_premium() -> None:
    assert not holds(Inventory(driver=None))


def test_labels_and_taints_come_from_all_rules_that_hold_and_the_later_wins() -> None:
    both = rules(
        {"name": "a", "match": {}, "taint": TAINT, "labels": {"nvidia.com/tier": "a", "nvidia.com/a": "1"}},
        {"name": "b", "match": {}, "taint": {**TAINT, "value": "b"}, "labels": {"nvidia.com/tier": "b"}},
        {"name": "c", "match": {"family": "volta"}, "labels": {"nvidia.com/tier": "c"}},
    )
    verdict = evaluate(both, H100)
    assert verdict.matched == ("a", "b")
    assert verdict.labels == {"nvidia.com/tier": "b", "nvidia.com/a": "1"}
    assert verdict.taints == (Taint(key="nvidia.com/gpu.premium", value="b", effect="NoSchedule"),)


def test_a_gpu_that_cannot_be_read_takes_nothing_away() -> None:
    hurt = Inventory(driver=None, gpus=gpus(3), faults=(Fault(index=3, uuid=None, reason="GPU_IS_LOST"),))
    four = rule(countAtLeast=4)
    verdict = evaluate(four, hurt)
    assert wanted_taints(verdict, hurt).partial
    known = {"nvidia.com/gpu.premium": "true"}
    assert merge_collected(premium_labels(four, verdict, hurt), known) == known


def test_a_whole_look_takes_labels_away() -> None:
    three = Inventory(driver=None, gpus=gpus(3))
    four = rule(countAtLeast=4)
    verdict = evaluate(four, three)
    assert not wanted_taints(verdict, three).partial
    assert merge_collected(premium_labels(four, verdict, three), {"nvidia.com/gpu.premium": "true"}) == {}


def test_no_rules_bring_no_labels_and_no_taints() -> None:
    verdict = evaluate((), H100)
    assert (verdict.labels, verdict.taints, premium_labels((), verdict, H100)) == ({}, (), ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"taint": {**TAINT, "key": "kubernetes.io/arch"}}, r"taint.key: kubernetes.io/arch is not under nvidia.com/"),
        ({"taint": {**TAINT, "key": "premium"}}, "taint.key: premium is not under nvidia.com/"),
        ({"taint": {**TAINT, "key": "nvidia.com/"}}, "taint.key"),
        ({"taint": {**TAINT, "value": "not good"}}, "taint.value: its value 'not good'"),
        ({"taint": {**TAINT, "effect": "Never"}}, r"premium\[0\].taint.effect"),
        ({"taint": {**TAINT, "efect": "NoSchedule"}}, r"efect: unknown key \(did you mean effect\?\)"),
        ({"labels": {"node-role.kubernetes.io/control-plane": ""}}, "labels: node-role.* is not under nvidia.com/"),
        ({"labels": {"x.nvidia.com/a": "1"}}, "is not under nvidia.com/"),
        ({"labels": {"nvidia.com/a": "no good"}}, r"labels.nvidia.com/a: its value"),
        ({"labels": {"nvidia.com/gpu.present": "false"}}, "gpu.present is not for rules to set"),
        ({"labels": {"nvidia.com/device-plugin.config": "a"}}, "device-plugin.config is not for rules to set"),
        ({"taint": None, "labels": {}}, "does nothing: give it a taint, labels, or both"),
        ({"match": {"memoryAtLeast": "many"}}, "match.memoryAtLeast: 'many' is not a quantity"),
        ({"match": {"computeAtLeast": "nine"}}, "match.computeAtLeast: 'nine' is not a compute capability"),
        ({"match": {"countAtLeast": 0}}, "match.countAtLeast: 0 is less than 1"),
        ({"match": {"prodct": "x"}}, r"match.prodct: unknown key \(did you mean product\?\)"),
        ({"match": None}, r"premium\[0\].match: expected a mapping"),
    ],
    ids=str,
)
def test_a_rule_that_cannot_be_right_is_refused_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        rules({"name": "big", "match": {}, "taint": TAINT} | change)


def test_every_problem_of_a_rule_is_said_at_once_with_its_name() -> None:
    with pytest.raises(SettingsError, match=r"premium rule 'big': match.countAtLeast.*; taint.key.*; labels"):
        rules(
            {
                "name": "big",
                "match": {"countAtLeast": -1},
                "taint": {**TAINT, "key": "x"},
                "labels": {"kubernetes.io/hostname": "y"},
            }
        )
