"""The kernel source."""

import pytest

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.sources import Host, SourceSettings, collect
from nfd_lite.sources.kernel import parse_builtin, parse_version
from tests.nfd_lite.sources.scans import LayOut, scan


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("6.8.0-45-generic", {"full": "6.8.0-45-generic", "major": "6", "minor": "8", "revision": "0"}),
        (
            "5.14.0-427.el9.x86_64+rt",
            {"full": "5.14.0-427.el9.x86_64_rt", "major": "5", "minor": "14", "revision": "0"},
        ),
        ("6.9", {"full": "6.9", "major": "6", "minor": "9", "revision": ""}),
        ("6.8.0_odd+", {"full": "6.8.0_odd", "major": "6", "minor": "8", "revision": "0"}),
        ("6.12.57+deb13-amd64", {"full": "6.12.57_deb13-amd64", "major": "6", "minor": "12", "revision": "57"}),
        ("6.6.51+rpt-rpi-v8", {"full": "6.6.51_rpt-rpi-v8", "major": "6", "minor": "6", "revision": "51"}),
        ("5.15.0.1-vendor", {"full": "5.15.0.1-vendor", "major": "5", "minor": "15", "revision": "0"}),
        (
            "5.15.167.4-microsoft-standard-WSL2",
            {"full": "5.15.167.4-microsoft-standard-WSL2", "major": "5", "minor": "15", "revision": "167"},
        ),
        ("4.18.0-553.el8_10", {"full": "4.18.0-553.el8_10", "major": "4", "minor": "18", "revision": "0"}),
        ("6.8.0-rc3+", {"full": "6.8.0-rc3", "major": "6", "minor": "8", "revision": "0"}),
        ("6.8-rc3", {"full": "6.8-rc3", "major": "6", "minor": "8", "revision": ""}),
        ("7", {"full": "7", "major": "7", "minor": "", "revision": ""}),
        (
            "5.10.198-android13-4-00050-g1~ab1",
            {"full": "5.10.198-android13-4-00050-g1_ab1", "major": "5", "minor": "10", "revision": "198"},
        ),
        ("next-20260101", {"full": "next-20260101"}),
        ("6x", {"full": "6x"}),
        (".6", {"full": "6"}),
    ],
)
def test_kernel_versions_are_split(release: str, expected: dict[str, str]) -> None:
    assert parse_version(release) == expected


def test_configured_build_options_are_labelled_with_their_value(lay_out: LayOut) -> None:
    root = lay_out({"/my/config": 'CONFIG_A=y\nCONFIG_B=m\nCONFIG_C="text"\nCONFIG_D=250\nCONFIG_E=y\n'})
    settings = SourceSettings(kernel_kconfig_file="/my/config", kernel_config_opts=("A", "B", "C", "D", "MISSING"))
    expected = {"A": "true", "B": "true", "C": "text", "D": "250"}
    assert scan(root, settings)[1] == {f"kernel-config.{name}": value for name, value in expected.items()}


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({"/boot/config-6.8.0": "CONFIG_A=y\n"}, "the build options come from /boot/config-6.8.0"),
        ({}, "the build options are unknown"),
    ],
)
def test_a_configured_file_of_build_options_that_does_not_exist_is_reported(
    files: dict[str, str], source: str, lay_out: LayOut
) -> None:
    root = lay_out({"/proc/sys/kernel/osrelease": "6.8.0\n", **files})
    host = Host(root=root, cpu=lambda _root: CpuInfo(arch="x86_64", method="test"))
    for _ in range(2):
        collection = collect(host, SourceSettings(kernel_kconfig_file="/my/config"))
        (problem,) = collection.problems["kernel.config"]
        assert "sources.kernel.kconfigFile: /my/config does not exist" in problem
        assert source in problem
        assert collection.errors == {}
    existing = SourceSettings(kernel_kconfig_file="/boot/config-6.8.0" if files else "")
    assert collect(host, existing).problems == {}


@pytest.mark.parametrize(("mode", "enabled"), [("1", "true"), ("0", "false")])
def test_permissive_selinux_is_not_enabled(mode: str, enabled: str, lay_out: LayOut) -> None:
    features, labels = scan(lay_out({"/sys/fs/selinux/enforce": mode}))
    assert features.attributes["kernel.selinux"] == {"enabled": enabled}
    assert labels == ({"kernel-selinux.enabled": "true"} if enabled == "true" else {})


def test_built_in_modules_are_enabled_and_not_loaded(lay_out: LayOut) -> None:
    files = {"/proc/sys/kernel/osrelease": "6.8.0\n", "/proc/modules": "nvidia 1 0 - Live 0\n\n"}
    assert "kernel.enabledmodule" not in scan(lay_out(files))[0].flags
    features, _ = scan(lay_out(files | {"/usr/lib/modules/6.8.0/modules.builtin": "kernel/fs/ext4/ext4.ko\n"}))
    assert features.flags["kernel.loadedmodule"] == {"nvidia"}
    assert features.flags["kernel.enabledmodule"] == {"nvidia", "ext4"}


def test_module_names_keep_their_spelling() -> None:
    assert parse_builtin("kernel/a/snd-pcm.ko\nkernel/b/ib_core.ko\n\n") == {"snd-pcm", "ib_core"}
