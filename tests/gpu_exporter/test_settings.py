"""gpu-exporter's command line: the flags and environment variables of dcgm-exporter."""

from pathlib import Path

import pytest

from gpu_exporter.__main__ import command, parse
from gpu_exporter.settings import ExporterSettings, exporter_settings, parse_listen, parse_milliseconds
from gpunode.run import command as run_command
from node_core.errors import SettingsError
from node_core.runtime.command import parse_command


def read(*arguments: str) -> ExporterSettings:
    values = parse_command(command, arguments, "gpu-exporter")
    assert values is not None
    return exporter_settings(values)


def refused(*arguments: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read(*arguments)
    return caught.value.problems


def test_defaults_are_those_of_dcgm_exporter() -> None:
    settings = read()
    assert settings == ExporterSettings()
    assert (settings.listen, settings.interval, settings.window) == (":9400", 30_000, 300_000)
    assert settings.label_options("n1").hostname_label == "Hostname"


SHORT = ("-a", "127.0.0.1:9500", "-c", "1000", "-k", "-n", "-o", "-r", "localhost:5555", "-d", "f", "-m", "ns:name")
LONG = (
    "--address=127.0.0.1:9500", "--collect-interval=1000", "--kubernetes=true", "--no-hostname=true",
    "--use-old-namespace=true", "--remote-hostengine-info=localhost:5555", "--devices=f", "--kubernetes-gpu-id-type=uid",
    "--kubernetes-virtual-gpus", "--debug", "--enable-dcgm-log=true", "--hpc-job-mapping-dir=/jobs",
)  # fmt: skip
ENVIRONMENT = {
    "DCGM_EXPORTER_LISTEN": "127.0.0.1:9500",
    "DCGM_EXPORTER_INTERVAL": "1000",
    "DCGM_EXPORTER_KUBERNETES": "true",
    "DCGM_EXPORTER_NO_HOSTNAME": "true",
    "DCGM_EXPORTER_USE_OLD_NAMESPACE": "true",
    "DCGM_REMOTE_HOSTENGINE_INFO": "localhost:5555",
    "NVIDIA_RESOURCE_NAMES": "nvidia.com/gpu.shared",
}
EXPECTED = ExporterSettings(
    listen="127.0.0.1:9500", interval=1000, kubernetes=True, has_no_hostname=True, has_old_pod_names=True
)


@pytest.mark.parametrize("arguments", [SHORT, LONG], ids=["short", "long"])
def test_the_flags_of_dcgm_exporter_work(arguments: tuple[str, ...]) -> None:
    assert read(*arguments) == EXPECTED


def test_the_environment_variables_of_dcgm_exporter_work(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert read() == EXPECTED
    values = parse_command(run_command, (), "gpunode run")
    assert values is not None
    assert exporter_settings(values) == EXPECTED


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("-c", "0"), "'0' is not a number of milliseconds from 100 to 86400000"),
        (("-c", "30s"), "'30s' is not a number of milliseconds"),
        (("-c", "9" * 5000), "is not a number of milliseconds"),
        (("-a", "9400"), "'9400' is not an address"),
        (("-a", ":94000"), "':94000' is not an address"),
        (("--hostname-label", "HOST"), "HOST"),
        (("--kubernetes-pod-label-allowlist-regex", "("), "'(' is not a regular expression"),
        (("--kubernetes=maybe",), "maybe"),
        (("--no-such-flag",), "--no-such-flag"),
    ],
)
def test_wrong_values_are_refused_with_their_flag(arguments: tuple[str, ...], problem: str) -> None:
    problems = refused(*arguments)
    assert len(problems) == 1
    assert problem in problems[0]
    assert arguments[0].partition("=")[0].lstrip("-")[0] in problems[0]


def test_several_patterns_of_labels_are_a_list() -> None:
    settings = read("--kubernetes-enable-pod-labels", "--kubernetes-pod-label-allowlist-regex", "^app$,^team/")
    assert settings.has_pod_labels
    assert [bool(pattern.search("team/x")) for pattern in settings.patterns] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), False),
        (("--kubernetes-enable-pod-uid",), True),
        (("--kubernetes-enable-pod-labels",), True),
        (("--kubernetes-enable-dra",), False),
    ],
)
def test_the_api_server_is_used_only_for_uids_and_labels(arguments: tuple[str, ...], expected: bool) -> None:
    assert read(*arguments).reads_pods_of_api is expected


def test_the_name_of_the_host_is_that_of_the_node_or_of_the_machine() -> None:
    settings = read("--hostname-label", "hostname")
    assert settings.label_options("n1").hostname == "n1"
    options = settings.label_options("", lambda: "machine")
    assert (options.hostname_label, options.hostname) == ("hostname", "machine")


def test_without_an_address_the_program_does_not_start(tmp_path: Path) -> None:
    flags = ["--simulate", "t4x1", "--host-root", str(tmp_path), "--lock-dir", str(tmp_path)]
    assert parse(flags) is not None
    with pytest.raises(SettingsError, match=r"--address: is empty\. Set an address, such as :9400\."):
        parse([*flags, "--address="])


def test_help_ends_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--help"]) is None
    assert "--collect-interval MILLISECONDS" in capsys.readouterr().out


def test_numbers_and_addresses_are_parsed() -> None:
    assert parse_milliseconds("100") == 100
    assert parse_listen("") == ""
    assert parse_listen("[::1]:9400") == "[::1]:9400"
