"""nfd-lite's settings and what becomes of a look."""

import re
from pathlib import Path

import pytest

from nfd_lite.collector import Collector, WhiteList, hidden_problem, select_labels
from nfd_lite.options import nfd_options, nfd_settings
from nfd_lite.rule_pass import Rules, RuleSettings
from nfd_lite.sources import Host, SourceSettings
from node_core.domain.labels import Collected, merge_collected
from node_core.domain.merge import Place
from node_core.errors import SettingsError
from node_core.host.cpuid_decode import CpuInfo
from node_core.host.root import HostRoot
from node_core.runtime.command import AgentCommand, parse_command
from node_core.runtime.flags import common_options
from node_core.runtime.rule_reporter import RuleReporter
from node_core.runtime.services import Services

KERNEL = Collected(
    name="kernel.version", labels={"f/kernel-version.full": "6.1", "f/kernel-version.major": "6"}, owns=("f/kernel-",)
)
PCI = Collected(name="pci.device", labels=None, owns=("f/pci-",))
PRESENT = Collected(name="gpu.present", labels={"nvidia.com/gpu.present": "true"}, owns=("nvidia.com/gpu.present",))


def settings(*arguments: str) -> tuple[frozenset[str], WhiteList | None]:
    @nfd_options
    @common_options(agent="NFD", address="")
    def command(**_: object) -> None: ...

    wrapped = AgentCommand("nfd-lite", params=list(reversed(command.__click_params__)))  # type: ignore[attr-defined]
    values = parse_command(wrapped, arguments, "nfd-lite")
    assert values is not None
    made = nfd_settings(values)
    return made.label_sources, made.white_list


def test_only_chosen_sources_are_published_and_gpu_present_always() -> None:
    assert select_labels([KERNEL, PCI, PRESENT], frozenset({"kernel"}), None) == [KERNEL, PRESENT]
    assert select_labels([KERNEL, PCI, PRESENT], frozenset(), None) == [PRESENT]


def test_the_white_list_searches_the_name_and_keeps_failures_as_they_are() -> None:
    chosen = select_labels([KERNEL, PCI, PRESENT], frozenset({"kernel", "pci"}), re.compile("full$"))
    assert [part.labels for part in chosen] == [{"f/kernel-version.full": "6.1"}, None, PRESENT.labels]


def test_no_pattern_takes_for_ever() -> None:
    _, pattern = settings("--label-white-list", "(([A-Za-z0-9_.-]+)+)+!")
    assert pattern is not None
    assert not pattern.search("a" * 5000)


def test_a_host_that_cannot_be_seen_is_no_reason_to_take_labels_away(tmp_path: Path) -> None:
    (tmp_path / "sys" / "bus").mkdir(parents=True)
    root, services = HostRoot(tmp_path), Services()
    reporter = RuleReporter(None, agent="nfd-lite", node_name="n1", services=services)
    look = Collector(
        Host(root=root, cpu=lambda _: CpuInfo(arch="x86_64", how="nothing")),
        SourceSettings(),
        Rules(RuleSettings(), root, reporter, place=Place(node_name="n1", namespace="")),
        label_sources=frozenset(),
        white_list=None,
        readiness=services.readiness,
        look_again=lambda _: None,
        name="nfd-lite",
    )
    known = {"feature.node.kubernetes.io/kernel-version.full": "6.1", "vendor.io/by-a-rule": "1"}
    assert merge_collected(look(), known) == known
    assert "/proc cannot be seen" in (services.readiness.problems()["nfd-lite/host"] or "")
    assert hidden_problem([], tmp_path) is None


def test_an_unknown_source_and_a_bad_pattern_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        settings("--label-sources", "kernal", "--label-white-list", "(")
    assert any("'kernal' is no source (did you mean kernel?)" in problem for problem in caught.value.problems)
    assert any("not a regular expression" in problem for problem in caught.value.problems)
