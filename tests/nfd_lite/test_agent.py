"""nfd-lite's settings and what becomes of a look."""

import re
from pathlib import Path

import click
import pytest

from nfd_lite.agent import Collector, NfdSettings, WhiteList, hidden_problem, select_labels
from nfd_lite.config import load_worker_config, source_settings
from nfd_lite.options import nfd_options, nfd_settings
from nfd_lite.sources import SourceSettings
from node_core.assembly import Edges
from node_core.domain.labels import Collected
from node_core.errors import SettingsError
from node_core.runtime.command import AgentCommand, parse_command
from node_core.runtime.flags import common_options
from node_core.runtime.readiness import Readiness
from node_core.runtime.settings import common_settings

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
    common = common_settings(
        parse_command(AgentCommand("x", params=command_params()), ["--host-root", str(tmp_path)], "x") or {}
    )
    readiness = Readiness()
    look = Collector(
        NfdSettings(label_sources=frozenset(), source_settings=SourceSettings(), white_list=None),
        Edges(common, "x"),
        readiness,
    )
    (part,) = look()
    assert part.labels is None
    assert part.owns_key("feature.node.kubernetes.io/kernel-version.full")
    assert part.owns_key("nvidia.com/gpu.present")
    assert not part.owns_key("nvidia.com/gpu.count")
    assert "/proc cannot be seen" in (readiness.problems()["nfd-lite/host"] or "")
    assert hidden_problem([], tmp_path) is None


def command_params() -> list[click.Parameter]:
    @common_options(agent="NFD", address="")
    def command(**_: object) -> None: ...

    return list(reversed(command.__click_params__))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("all", {"cpu", "kernel", "memory", "network", "pci", "storage", "system", "usb"}),
        ("all,-cpu,-usb", {"kernel", "memory", "network", "pci", "storage", "system"}),
        ("kernel, pci", {"kernel", "pci"}),
        ("", set()),
    ],
)
def test_sources_are_chosen_by_name(words: str, expected: set[str]) -> None:
    assert settings("--label-sources", words)[0] == expected


def test_an_unknown_source_and_a_bad_pattern_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        settings("--label-sources", "kernal", "--label-white-list", "(")
    assert any("'kernal' is no source (did you mean kernel?)" in problem for problem in caught.value.problems)
    assert any("not a regular expression" in problem for problem in caught.value.problems)


def test_the_worker_config_of_nfd_is_read(tmp_path: Path) -> None:
    path = tmp_path / "nfd-worker.conf"
    path.write_text(
        "core: {labelSources: [all, -usb], labelWhiteList: cpu, sleepInterval: 30s}\n"
        "sources:\n"
        "  cpu: {cpuid: {attributeWhitelist: [AVX2]}}\n"
        "  kernel: {kconfigFile: /boot/config, configOpts: [NUMA]}\n"
        "  pci: {deviceClassWhitelist: ['02'], deviceLabelFields: [vendor]}\n"
    )
    config, defaults = load_worker_config(path)
    assert defaults == {"label_sources": "all,-usb", "label_white_list": "cpu", "sleep_interval": "30s"}
    assert source_settings(config) == SourceSettings(
        cpuid_attribute_whitelist=("AVX2",),
        kernel_kconfig_file="/boot/config",
        kernel_config_opts=("NUMA",),
        pci_device_class_whitelist=("02",),
        pci_device_label_fields=("vendor",),
    )
    sources, pattern = settings("--config", str(path))
    assert "usb" not in sources
    assert pattern is not None
    assert pattern.search("cpu-model")
    assert not pattern.search("kernel-version")


def test_a_key_of_the_worker_config_that_we_do_not_act_on_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "nfd-worker.conf"
    path.write_text("core: {noPublish: true}\nsources: {pci: {deviceClassWhiteList: ['02']}}\n")
    with pytest.raises(SettingsError) as caught:
        load_worker_config(path)
    assert caught.value.problems == (
        f"{path}: core.noPublish: unknown key",
        f"{path}: sources.pci.deviceClassWhiteList: unknown key (did you mean deviceClassWhitelist?)",
    )
