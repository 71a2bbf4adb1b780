"""nfd-worker's config file: every key, what it becomes, and what is wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.config import (
    WorkerConfig,
    config_notes,
    decode_worker_config,
    merge_configs,
    source_settings,
)
from nfd_lite.sources import FakeSettings, SourceSettings
from node_core.decode import Document, parse_yaml, read_yaml
from node_core.errors import SettingsError

EVERY_KEY = """
core:
  sleepInterval: 30s
  featureSources: [all, -usb]
  labelSources: [all, -pci]
  sources: [kernel, custom]
  labelWhiteList: cpu
  noPublish: true
  ownerRefs: [pod, ds, node]
  noOwnerRefs: true
  noPublishFeatures: [kernel.config, "cpu.*"]
  klog:
    addDirHeader: false
    alsologtostderr: false
    logBacktraceAt:
    logtostderr: true
    skipHeaders: false
    stderrthreshold: 2
    v: 0
    vmodule:
    logDir: /x
    logFile: y
    logFileMaxSize: 1800
    skipLogHeaders: false
sources:
  cpu:
    cpuid:
      attributeBlacklist: [BMI1]
      attributeWhitelist: [AVX2]
  kernel:
    kconfigFile: /boot/config
    configOpts: [NUMA]
  pci:
    deviceClassWhitelist: ["02"]
    deviceLabelFields: [vendor]
  usb:
    deviceClassWhitelist: ["0e"]
    deviceLabelFields: [class]
  custom:
    - name: my rule
      labels: {my-label: "true"}
      matchFeatures: [{feature: kernel.loadedmodule, matchExpressions: {x: {op: Exists}}}]
  local: {}
  fake:
    labels: {mine: "1", fakefeature1: "false"}
    flagFeatures: [flag_9]
    attributeFeatures: {attr_9: x}
    instanceFeatures: [{name: one, attributes: {a: b}}, {name: two}]
"""


def load(text: str, folder: Path) -> tuple[WorkerConfig, dict[str, Any]]:
    path = folder / "nfd-worker.conf"
    path.write_text(text)
    config, defaults = decode_worker_config(read_yaml(path), str(path))
    return config, dict(defaults)


def inline(text: str) -> tuple[WorkerConfig, Mapping[str, Any]]:
    return decode_worker_config(parse_yaml(Document(source="--options", content=text.encode())), "--options")


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        inline(text)
    return caught.value.problems


def test_every_key_of_upstream_is_taken(tmp_path: Path) -> None:
    config, defaults = load(EVERY_KEY, tmp_path)
    assert defaults == {
        "sleep_interval": "30s",
        "feature_sources": "all,-usb",
        "label_sources": "kernel,custom",
        "label_white_list": "cpu",
        "no_publish": True,
        "no_publish_features": "kernel.config,cpu.*",
    }
    assert source_settings(config, features_dir="/f") == SourceSettings(
        cpuid_attribute_blacklist=("BMI1",),
        cpuid_attribute_whitelist=("AVX2",),
        kernel_kconfig_file="/boot/config",
        kernel_config_opts=("NUMA",),
        pci_device_class_whitelist=("02",),
        pci_device_label_fields=("vendor",),
        usb_device_class_whitelist=("0e",),
        usb_device_label_fields=("class",),
        fake=FakeSettings(
            labels={"fakefeature1": "false", "fakefeature2": "true", "fakefeature3": "true", "mine": "1"},
            flags=("flag_9",),
            attributes={"attr_1": "true", "attr_2": "false", "attr_3": "10", "attr_9": "x"},
            instances=({"a": "b", "name": "one"}, {"name": "two"}),
        ),
        features_dir="/f",
    )
    assert config.sources.custom is not None
    assert config.sources.custom[0]["name"] == "my rule"


def test_what_has_no_effect_is_said_in_a_sentence_each(tmp_path: Path) -> None:
    config, _ = load(EVERY_KEY, tmp_path)
    assert [note.split(" ")[0] for note in config_notes(config)] == [
        "core.klog",
        "core.ownerRefs",
        "core.noOwnerRefs",
        "core.sources",
    ]
    assert config_notes(WorkerConfig()) == ()


@pytest.mark.parametrize(
    "text",
    ["", "core:\nsources:\n", "core: {klog: , labelSources: }\nsources: {cpu: {cpuid: }, local: , fake: , custom: }\n"],
    ids=["empty", "sections without keys", "keys without values"],
)
def test_a_file_that_says_nothing_means_the_defaults(text: str, tmp_path: Path) -> None:
    config, defaults = load(text, tmp_path)
    assert defaults == {}
    assert source_settings(config) == source_settings(None) == SourceSettings()
    assert config_notes(config) == ()


def test_every_problem_is_told_at_once_with_its_path_and_what_was_meant() -> None:
    assert problems(
        "core: {noPublishh: true, ownerRefs: [pod, deployment], klog: {vv: 1}}\n"
        "sources: {pci: {deviceClassWhiteList: ['02']}, usb: {deviceClassWhitelist: [0e, 14]}, local: {x: 1}, gpu: {}}\n"
    ) == (
        "--options: core.noPublishh: unknown key (did you mean noPublish?)",
        "--options: core.ownerRefs: Invalid enum value 'deployment'",
        "--options: core.klog.vv: unknown key (did you mean v?)",
        "--options: sources.gpu: unknown key (did you mean cpu?)",
        "--options: sources.pci.deviceClassWhiteList: unknown key (did you mean deviceClassWhitelist?)",
        "--options: sources.usb.deviceClassWhitelist: Expected `str`, got `int`",
        "--options: sources.local.x: unknown key",
    )


@pytest.mark.parametrize("text", ["core: [", "- a", "just text", "core: {a: !!python/object:os.system {}}", "\0"])
def test_what_is_no_config_is_one_problem(text: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith("--options: ")


def test_json_is_yaml() -> None:
    _, defaults = inline('{"core": {"sleepInterval": 90}}')
    assert defaults == {"sleep_interval": 90}


def test_of_two_configs_maps_are_merged_and_lists_replaced() -> None:
    under, _ = inline(
        "core: {labelWhiteList: a, ownerRefs: [pod]}\n"
        "sources: {pci: {deviceClassWhitelist: ['02', '03'], deviceLabelFields: [class]}, fake: {labels: {a: '1', b: '1'}}}"
    )
    over, _ = inline("sources: {pci: {deviceClassWhitelist: ['12']}, fake: {labels: {b: '2'}}, custom: [{name: x}]}")
    merged = merge_configs(under, over)
    assert merged is not None
    assert merged.core == under.core
    assert merged.sources.pci.device_class_whitelist == ("12",)
    assert merged.sources.pci.device_label_fields == ("class",)
    assert merged.sources.fake.labels == {"a": "1", "b": "2"}
    assert merged.sources.custom == [{"name": "x"}]
    assert merge_configs(None, over) == merge_configs(over, None) == over
    assert merge_configs(None, None) is None


KEYS = st.sampled_from(
    sorted({*yaml.safe_load(EVERY_KEY)["core"], *yaml.safe_load(EVERY_KEY)["sources"], "core", "cpuid", "labels"})
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(st.fixed_dictionaries({}, optional={"core": VALUES, "sources": VALUES}))
def test_any_file_is_taken_or_refused_with_sentences(data: Any) -> None:
    config = None
    found: tuple[str, ...] = ()
    try:
        config, _ = inline(yaml.safe_dump(data))
    except SettingsError as error:
        found = error.problems
    assert all(problem.startswith("--options: ") for problem in found)
    if config is not None:
        assert merge_configs(config, WorkerConfig()) == config
        source_settings(config)
