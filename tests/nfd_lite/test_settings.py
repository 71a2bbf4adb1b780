"""The settings of nfd-lite: flags as in manifests of nfd-worker, the config file, and their precedence."""

from pathlib import Path
from typing import Any

import pytest

from nfd_lite.__main__ import command
from nfd_lite.settings import NfdSettings, nfd_settings
from node_core.errors import SettingsError
from node_core.runtime.command import parse_command
from node_core.runtime.config_watch import fingerprint
from node_core.runtime.settings import CommonSettings
from node_core.runtime.settings import common_settings as settings_of


def common_settings(values: dict[str, Any]) -> CommonSettings:
    return settings_of(values, CommonSettings)


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
def test_sources_are_selected_by_name(words: str, features: set[str], labels: set[str]) -> None:
    settings = parsed("--feature-sources", words, "--label-sources", words)
    assert settings.source_settings.feature_sources == frozenset(features)
    assert settings.label_sources == labels


def test_custom_is_not_a_source_of_features() -> None:
    assert "'custom' is not a source" in problems("--feature-sources", "custom")
    assert parsed("--label-sources", "custom").label_sources == {"custom"}
    assert "'kernal' is not a source (did you mean kernel?)" in problems("--label-sources", "kernal")


def test_the_command_line_of_nfd_worker_is_accepted(config: Path) -> None:
    values = parse(
        f"-config={config}", "-options={core: {sleepInterval: 45s}}", "-oneshot", "-no-publish=false", "-port", "9090",
        "-feature-sources=all", "-label-sources", "cpu", "-no-publish-features=kernel.config, cpu.*", "-owner-refs=pod,ds",
        "-no-owner-refs", "-feature-gates=NodeFeatureAPI=true", "-kubeconfig=/k", "-v=5", "-logtostderr", "-stderrthreshold", "2",
    )  # fmt: skip
    common = common_settings(values)
    assert (common.oneshot, common.interval, common.address, common.kubeconfig) == (True, 45, ":9090", "/k")
    settings = nfd_settings(values)
    assert (settings.publish, settings.excluded_features) == ("node", ("kernel.config", "cpu.*"))
    assert [rule.name for each in settings.rules.configured for rule in each.rules] == ["a"]
    assert settings.label_sources == {"cpu"}


def test_an_excluded_feature_that_matches_nothing_is_a_note_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "nfd.conf"
    file.write_text("core: {noPublishFeatures: [kernel.confg, cpu.cpuid]}")
    sentence = "'kernel.confg' matches no feature (did you mean kernel.config?)"
    assert parse(f"--config={file}")["notes"] == (f"{file}: core.noPublishFeatures: {sentence}",)
    assert parse("--no-publish-features=kernel.confg,cpu.*")["notes"] == (f"--no-publish-features: {sentence}",)
    assert parse("--no-publish-features=cpu.*")["notes"] == ()


@pytest.mark.parametrize("order", [1, -1], ids=["file first", "file last"])
def test_flags_take_precedence_over_inline_options_and_these_over_the_file(config: Path, order: int) -> None:
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
    assert nfd_settings(values).publish == "nothing"
    assert nfd_settings(values).source_settings.feature_sources == frozenset({"cpu", "pci"})
    assert common_settings(values).interval == 30


def test_a_config_file_is_watched_with_the_content_that_was_read(config: Path) -> None:
    assert common_settings(parse("--config", str(config))).config_files == {config: fingerprint(config)}


def test_only_a_config_file_named_by_the_user_must_exist(tmp_path: Path) -> None:
    usual = Path("/etc/kubernetes/node-feature-discovery/nfd-worker.conf")
    assert list(common_settings(parse()).config_files) == [usual]
    assert f"{tmp_path}/missing: does not exist" in problems("--config", str(tmp_path / "missing"))


def test_http_address_takes_precedence_over_port() -> None:
    assert common_settings(parse("--port", "0", "--http-address", "127.0.0.1:1")).address == "127.0.0.1:1"
    assert common_settings(parse()).address == ":8080"
    assert "70000" in problems("--port", "70000")


def test_the_folder_of_feature_files_is_a_setting_and_excludes_the_output_file() -> None:
    settings = parsed("--features-dir", "/f", "--output-file", "/f/mine").source_settings
    assert (settings.features_dir, settings.own_file) == ("/f", "/f/mine")
    usual = parsed().source_settings
    assert usual.own_file == f"{usual.features_dir}/nfd-lite"


def test_problems_of_file_options_and_flags_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_text("core: {sleepIntervall: 1}")
    text = problems(
        "--config", str(path), "--options", "core: {labelSource: [cpu]}", "--port=x", "--label-white-list", "("
    )
    assert f"{path}: core.sleepIntervall: unknown key (did you mean sleepInterval?)" in text
    assert "--options: core.labelSource: unknown key (did you mean labelSources?)" in text
    assert "--port: 'x' is not a valid integer" in text
    assert "not a regular expression" in text


def test_every_label_pattern_takes_linear_time() -> None:
    pattern = parsed("--label-white-list", "(([A-Za-z0-9_.-]+)+)+!").white_list
    assert pattern is not None
    assert not pattern.search("a" * 5000)


def test_an_unknown_source_and_a_bad_pattern_are_reported_together() -> None:
    text = problems("--label-sources", "kernal", "--label-white-list", "(")
    assert "'kernal' is not a source (did you mean kernel?)" in text
    assert "not a regular expression: missing ): (" in text
