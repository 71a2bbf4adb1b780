"""The data of templates, and the pairs that they write."""

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
def test_features_are_named_in_the_spelling_of_the_rule(matched: Any, data: Any) -> None:
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


def test_every_group_is_expanded_and_a_later_pair_wins() -> None:
    groups: Any = [{"a.b": (AVX,)}, {"a.b": ()}]
    assert expand("count={{ len .a.b }}\nsize-{{ len .a.b }}=x", groups, field="f") == {
        "count": "0",
        "size-1": "x",
        "size-0": "x",
    }


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("a", "labelsTemplate: the template wrote 'a', which is not key=value"),
        ("a=b\n" + "x" * 1000, "labelsTemplate: the template wrote 'xxxx"),
        ("{{ .usb.device }}", "labelsTemplate: line 1: "),
        ("{{ now }}=x", "labelsTemplate: line 1: "),
        ("{{ range $i := until 1000000 }}{{ end }}", "labelsTemplate: line 1: "),
    ],
)
def test_an_error_contains_the_field(template: str, why: str) -> None:
    with pytest.raises(RuleError) as raised:
        expand(template, [{"pci.device": (GPU,)}], field="labelsTemplate")
    assert raised.value.message.startswith(why)
    assert len(raised.value.message) < 200


def test_a_rule_without_matches_expands_nothing() -> None:
    assert expand("{{ .no.such }}", [], field="f") == {}


def test_the_data_of_a_template_counts_as_work() -> None:
    report_steps: list[int] = []
    elements = {"pci.device": ({"vendor": "10de"},) * 7}
    expand("a=b", [elements], field="labelsTemplate", spend=report_steps.append)
    assert report_steps[0] == len("a=b") + 7
