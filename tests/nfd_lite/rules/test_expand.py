"""What templates get to see, and what becomes of what they write."""

from typing import Any

import pytest

from nfd_lite.rules.expand import expand, template_data
from nfd_lite.rules.expression import RuleError

AVX = {"Name": "AVX"}
GPU = {"vendor": "10de", "iommu_group/type": "DMA"}


@pytest.mark.parametrize(
    ("matched", "data"),
    [
        ({}, {}),
        ({"cpu.cpuid": (AVX,)}, {"cpu": {"cpuid": [AVX]}}),
        ({"cpu.cpuid": (), "cpu.model": (AVX,)}, {"cpu": {"cpuid": [], "model": [AVX]}}),
        ({"CPU.cpuId": (AVX,), "cpu.cpuid": ()}, {"CPU": {"cpuId": [AVX]}, "cpu": {"cpuid": []}}),
        ({"a.b.c/d": (AVX,)}, {"a": {"b.c/d": [AVX]}}),
        ({"nodot": (AVX,)}, {"nodot": {"": [AVX]}}),
    ],
    ids=str,
)
def test_features_are_named_as_the_rule_spells_them_split_at_the_first_dot(matched: Any, data: Any) -> None:
    assert template_data(matched) == data


@pytest.mark.parametrize(
    ("template", "pairs"),
    [
        ("", {}),
        (" \n\t\n", {}),
        ("a=b", {"a": "b"}),
        ("a=", {"a": ""}),
        ("=b", {"": "b"}),
        ("a=b=c", {"a": "b=c"}),
        ("  a = b  \r\n c=d", {"a ": " b", "c": "d"}),
        ('{{ (index .pci.device 0).vendor }}={{ index (index .pci.device 0) "iommu_group/type" }}', {"10de": "DMA"}),
    ],
)
def test_lines_become_pairs(template: str, pairs: dict[str, str]) -> None:
    assert expand(template, [{"pci.device": (GPU,)}], field="labelsTemplate") == pairs


def test_every_group_is_expanded_and_later_ones_win() -> None:
    groups: Any = [{"a.b": (AVX,)}, {"a.b": ()}]
    assert expand("count={{ len .a.b }}\nsize-{{ len .a.b }}=x", groups, field="f") == {
        "count": "0",
        "size-1": "x",
        "size-0": "x",
    }


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("a", "labelsTemplate: it wrote 'a', which is not key=value"),
        ("a=b\n" + "x" * 1000, "labelsTemplate: it wrote 'xxxx"),
        ("{{ .usb.device }}", "labelsTemplate: line 1: "),
        ("{{ now }}=x", "labelsTemplate: line 1: "),
        ("{{ range $i := until 1000000 }}{{ end }}", "labelsTemplate: line 1: "),
    ],
)
def test_what_goes_wrong_is_told_with_its_field(template: str, why: str) -> None:
    with pytest.raises(RuleError) as raised:
        expand(template, [{"pci.device": (GPU,)}], field="labelsTemplate")
    assert raised.value.message.startswith(why)
    assert len(raised.value.message) < 200


def test_a_rule_whose_group_does_not_match_expands_nothing() -> None:
    assert expand("{{ .no.such }}", [], field="f") == {}
