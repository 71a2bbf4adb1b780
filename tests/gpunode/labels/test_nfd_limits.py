"""Settings of nfd-lite that keep a label from being published."""

from pathlib import Path

import pytest

from tests.gpunode.labels.answers import ask, evidence, whys
from tests.gpunode.labels.conftest import Show
from tests.nfd_lite.conftest import load_host


def config(tmp_path: Path, text: str) -> tuple[str, str]:
    path = tmp_path / "nfd-worker.conf"
    path.write_text(text)
    return "--config", str(path)


FIELDS = "is class, vendor. The key of this label consists of class, vendor, device"
OFF = "is kernel,local,memory,network,pci,storage,system,usb. Add extra"


@pytest.mark.parametrize(
    ("key", "flags", "why"),
    [
        ("memory-numa", ("--label-sources", "all,-memory"), "labels of the source memory are not published"),
        ("memory-numa", ("--feature-sources", "all,-memory"), "the source memory is off: --feature-sources is cpu,"),
        ("memory-numa", ("--label-white-list", "^pci-"), "--label-white-list ^pci- does not match memory-numa"),
        ("kernel-config.HZ", (), "sources.kernel.configOpts does not contain HZ. Add HZ in the config file"),
        ("pci-0302_10de_2330.present", (), f"sources.pci.deviceLabelFields {FIELDS}"),
        ("pci-0302_10de_2330.sriov.capable", (), f"sources.pci.deviceLabelFields {FIELDS}"),
        (
            "pci-10de.present",
            (),
            "sources.pci.deviceLabelFields is class, vendor. The key of this label consists of vendor",
        ),
        ("pci-0207_15b3.present", (), "sources.pci.deviceClassWhitelist (03, 0b40, 12) does not contain the class"),
        ("usb-ff_0557.present", (), "sources.usb.deviceLabelFields is class, vendor, device. The key of this label"),
        ("premium", ("--deny-label-ns", "*.kubernetes.io"), "--deny-label-ns *.kubernetes.io denies the namespace"),
        ("rdma.capable", ("--label-sources", "all,-custom"), "labels of the source custom are not published"),
        ("rdma.capable", ("--feature-sources", "all,-pci"), "the source pci is off: --feature-sources is cpu,"),
    ],
)
def test_a_setting_hides_a_label(key: str, flags: tuple[str, ...], why: str, show: Show, rules: str) -> None:
    flags = (*flags, "--rules", rules)
    answer = ask(show, key, *flags)
    assert [each.startswith(f"nfd-lite: {why}") for each in whys(answer)] == [True], whys(answer)
    assert evidence(answer)[0].startswith("without this limit the value would be ")


def test_the_white_list_does_not_apply_to_node_feature_rules(show: Show, rules: str) -> None:
    assert ask(show, "premium", "--label-white-list", "^x$", "--rules", rules)["isPublished"]


def test_all_settings_that_hide_a_label_are_named(show: Show, tmp_path: Path) -> None:
    flags = ("--label-white-list", "^pci-", *config(tmp_path, "restrictions: {disableLabels: true}"))
    answer = ask(show, "kernel-config.HZ", *flags)
    assert [each.split()[1] for each in whys(answer)] == [
        "--label-white-list",
        "restrictions.disableLabels",
        "sources.kernel.configOpts",
    ]
    assert evidence(answer) == ["without these limits the value would be 250"]


def test_a_source_that_is_off_by_default(show: Show, tmp_path: Path) -> None:
    root = load_host("xeon-h100", tmp_path / "host").root.base
    (root / "sys/module/nvidia").mkdir(parents=True)
    (root / "sys/module/nvidia/version").write_text("550.54.15")
    assert whys(ask(show, "extra-nvidia-driver.loaded", host=root)) == [
        f"nfd-lite: the source extra is off: --feature-sources {OFF}",
        "nfd-lite: labels of the source extra are not published: --label-sources is all. Add extra",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "attributeBlacklist contains CMOV"),
        (
            "sources: {cpu: {cpuid: {attributeWhitelist: [AVX]}}}",
            "attributeWhitelist of the config file does not contain",
        ),
    ],
    ids=["blacklist", "whitelist"],
)
def test_a_flag_of_the_processor_is_excluded(
    text: str, why: str, show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = load_host("xeon-h100", tmp_path / "host")
    monkeypatch.setattr("nfd_lite.agent.read_cpu", host.cpu)
    answer = ask(show, "cpu-cpuid.CMOV", *config(tmp_path, text), host=host.root.base, sources="all")
    assert [each.startswith(f"nfd-lite: sources.cpu.cpuid.{why}") for each in whys(answer)] == [True], whys(answer)


def test_of_two_sources_of_one_label_one_is_named(show: Show, tmp_path: Path) -> None:
    """Either of the two would publish the label."""
    root = load_host("xeon-h100", tmp_path / "host").root.base
    folder = root / "etc/kubernetes/node-feature-discovery/features.d"
    folder.mkdir(parents=True)
    (folder / "numa").write_text("memory-numa=true\n")
    answer = ask(show, "memory-numa", "--label-sources", "all,-memory,-local", host=root)
    assert len(whys(answer)) == 1


@pytest.mark.parametrize("key", ["pci-_____________________.present", "usb-.present", "kernel-config.-x", "pci-a/b"])
def test_a_strange_key_has_an_answer(key: str, show: Show) -> None:
    result = show(key)
    assert result.exit_code in (1, 2)
    assert result.exception is None or isinstance(result.exception, SystemExit)
