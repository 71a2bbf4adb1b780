"""nfd-lite's flags: those of nfd-worker as manifests in the wild write them, the config file, and which of both wins."""

from pathlib import Path
from typing import Any

import click
import pytest

from nfd_lite.agent import NfdSettings
from nfd_lite.options import nfd_config, nfd_options, nfd_settings
from node_core.errors import SettingsError
from node_core.runtime.command import AgentCommand, parse_command
from node_core.runtime.config_watch import fingerprint
from node_core.runtime.flags import common_options, publish_options
from node_core.runtime.settings import common_settings


@click.command(cls=AgentCommand)
@publish_options(agent="NFD", output_file="/etc/kubernetes/node-feature-discovery/features.d/nfd-lite")
@nfd_options
@common_options(agent="NFD", address=":8080")
def command(**_: Any) -> None: ...


def parse(*arguments: str) -> dict[str, Any]:
    values = parse_command(command, arguments, "nfd-lite")
    assert values is not None
    return values


def parsed(*arguments: str) -> NfdSettings:
    return nfd_settings(parse(*arguments))


def problems(*arguments: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(*arguments)
    return "\n".join(caught.value.problems)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "nfd-worker.conf"
    path.write_text(
        "core: {sleepInterval: 30s, featureSources: [cpu, pci], labelSources: [pci], noPublish: true}\n"
        "sources: {pci: {deviceClassWhitelist: ['02'], deviceLabelFields: [vendor]}, custom: [{name: a}]}\n"
    )
    return path


ALL = {"cpu", "kernel", "memory", "network", "pci", "storage", "system", "usb", "local"}


@pytest.mark.parametrize(
    ("words", "features", "labels"),
    [
        ("all", ALL, ALL | {"custom"}),
        ("all,-cpu,-usb", ALL - {"cpu", "usb"}, ALL - {"cpu", "usb"} | {"custom"}),
        ("all,fake", ALL | {"fake"}, ALL | {"fake", "custom"}),
        ("kernel, pci", {"kernel", "pci"}, {"kernel", "pci"}),
        ("-all", set(), set()),
        ("", set(), set()),
    ],
)
def test_sources_are_chosen_by_name(words: str, features: set[str], labels: set[str]) -> None:
    settings = parsed("--feature-sources", words, "--label-sources", words)
    assert settings.source_settings.feature_sources == frozenset(features)
    assert settings.label_sources == labels


def test_rules_are_no_source_of_features() -> None:
    assert "'custom' is no source" in problems("--feature-sources", "custom")
    assert parsed("--label-sources", "custom").label_sources == {"custom"}
    assert "'kernal' is no source (did you mean kernel?)" in problems("--label-sources", "kernal")


def test_nfd_workers_command_line_is_taken_as_it_is(config: Path) -> None:
    values = parse(
        f"-config={config}", "-options={core: {sleepInterval: 45s}}", "-oneshot", "-no-publish=false", "-port", "9090",
        "-feature-sources=all", "-label-sources", "cpu", "-no-publish-features=kernel.config, cpu.*", "-owner-refs=pod,ds",
        "-no-owner-refs", "-feature-gates=NodeFeatureAPI=true", "-kubeconfig=/k", "-v=5", "-logtostderr", "-stderrthreshold", "2",
    )  # fmt: skip
    common = common_settings(values)
    assert (common.oneshot, common.interval, common.address, common.kubeconfig) == (True, 45, ":9090", "/k")
    assert nfd_config(values).no_publish is False
    assert nfd_config(values).no_publish_features == ("kernel.config", "cpu.*")
    assert nfd_config(values).custom_rules == [{"name": "a"}]
    assert nfd_settings(values).label_sources == {"cpu"}


@pytest.mark.parametrize("order", [1, -1], ids=["file first", "file last"])
def test_a_flag_wins_over_inline_options_over_the_file(config: Path, order: int) -> None:
    words = (
        ["--config", str(config)],
        ["--options", "{core: {labelSources: [usb]}, sources: {pci: {deviceLabelFields: [class]}}}"],
    )
    arguments = [word for pair in words[::order] for word in pair]
    settings = parsed(*arguments)
    assert settings.label_sources == {"usb"}
    assert settings.source_settings.feature_sources == frozenset({"cpu", "pci"})
    assert settings.source_settings.pci_device_class_whitelist == ("02",)
    assert settings.source_settings.pci_device_label_fields == ("class",)
    assert parsed(*arguments, "--label-sources", "cpu").label_sources == {"cpu"}


def test_the_config_file_reaches_every_setting(config: Path) -> None:
    values = parse("--config", str(config))
    assert nfd_config(values).no_publish
    assert nfd_settings(values).source_settings.feature_sources == frozenset({"cpu", "pci"})
    assert common_settings(values).interval == 30


def test_a_config_file_is_watched_by_what_it_said_when_it_was_read(config: Path) -> None:
    assert common_settings(parse("--config", str(config))).config_files == {config: fingerprint(config)}


def test_the_usual_config_file_need_not_be_there_and_one_that_is_named_must(tmp_path: Path) -> None:
    usual = Path("/etc/kubernetes/node-feature-discovery/nfd-worker.conf")
    assert list(common_settings(parse()).config_files) == [usual]
    assert f"{tmp_path}/missing: No such file" in problems("--config", str(tmp_path / "missing"))


def test_an_address_wins_over_a_port() -> None:
    assert common_settings(parse("--port", "0", "--http-address", "127.0.0.1:1")).address == "127.0.0.1:1"
    assert common_settings(parse()).address == ":8080"
    assert "70000" in problems("--port", "70000")


def test_feature_files_are_looked_for_where_it_is_said_and_ours_is_not_among_them() -> None:
    settings = parsed("--features-dir", "/f", "--output-file", "/f/mine").source_settings
    assert (settings.features_dir, settings.own_file) == ("/f", "/f/mine")
    usual = parsed().source_settings
    assert usual.own_file == f"{usual.features_dir}/nfd-lite"


def test_problems_of_file_options_and_flags_come_together(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_text("core: {sleepIntervall: 1}")
    text = problems(
        "--config", str(path), "--options", "core: {labelSource: [cpu]}", "--port=x", "--label-white-list", "("
    )
    assert f"{path}: core.sleepIntervall: unknown key (did you mean sleepInterval?)" in text
    assert "--options: core.labelSource: unknown key (did you mean labelSources?)" in text
    assert "--port: 'x' is not a valid integer" in text
    assert "not a regular expression" in text
