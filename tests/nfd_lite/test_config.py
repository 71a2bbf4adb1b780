"""The config file of nfd-worker: keys, settings and problems."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.config import (
    Restrictions,
    WorkerFile,
    config_notes,
    decode_worker_config,
    find_idle_exclusions,
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


def load(text: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    path = folder / "nfd-worker.conf"
    path.write_text(text)
    config, defaults, _ = decode_worker_config(read_yaml(path), str(path))
    return config, dict(defaults)


def inline(text: str) -> tuple[Any, Mapping[str, Any]]:
    return decode(text)[:2]


def decode(text: str) -> tuple[Any, Mapping[str, Any], tuple[str, ...]]:
    return decode_worker_config(parse_yaml(Document(source="--options", content=text.encode())), "--options")


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        inline(text)
    return caught.value.problems


def test_every_key_of_upstream_is_accepted(tmp_path: Path) -> None:
    config, defaults = load(EVERY_KEY, tmp_path)
    assert defaults == {
        "sleep_interval": "30s",
        "feature_sources": ("all", "-usb"),
        "label_sources": ("kernel", "custom"),
        "label_white_list": "cpu",
        "no_publish": True,
        "no_publish_features": ("kernel.config", "cpu.*"),
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


def test_each_key_without_effect_has_a_note() -> None:
    _, _, notes = decode(EVERY_KEY)
    assert [note.split(" ")[0] for note in notes] == ["core.klog", "core.ownerRefs", "core.noOwnerRefs", "core.sources"]
    assert decode("core: {klog: {any: 1}, ownerRefs: [other]}")[1] == {}
    assert config_notes(WorkerFile()) == ()


@pytest.mark.parametrize(
    "text",
    ["", "core:\nsources:\n", "core: {klog: , labelSources: }\nsources: {cpu: {cpuid: }, local: , fake: , custom: }\n"],
    ids=["empty", "sections without keys", "keys without values"],
)
def test_an_empty_file_has_the_defaults(text: str, tmp_path: Path) -> None:
    config, defaults = load(text, tmp_path)
    assert defaults == {}
    assert source_settings(config) == SourceSettings()
    assert config_notes(config) == ()


def test_all_problems_are_reported_with_path_and_suggestion() -> None:
    assert problems(
        "core: {noPublishh: true, noPublish: [1]}\n"
        "sources: {pci: {deviceClassWhiteList: ['02']}, usb: {deviceClassWhitelist: [0e, 14]}, local: {x: 1}, gpu: {}}\n"
    ) == (
        "--options: core.noPublishh: unknown key (did you mean noPublish?)",
        "--options: core.noPublish: must be true or false, found a list",
        "--options: sources.gpu: unknown key (did you mean cpu?)",
        "--options: sources.pci.deviceClassWhiteList: unknown key (did you mean deviceClassWhitelist?)",
        "--options: sources.usb.deviceClassWhitelist[1]: must be text, found the number 14. Put the value in quotes",
        "--options: sources.local.x: unknown key",
    )


@pytest.mark.parametrize("text", ["core: [", "- a", "just text", "core: {a: !!python/object:os.system {}}", "\0"])
def test_a_file_that_is_not_a_config_has_one_problem(text: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith("--options: ")


def test_json_is_yaml() -> None:
    _, defaults = inline('{"core": {"sleepInterval": 90}}')
    assert defaults == {"sleep_interval": 90}


def test_merging_two_configs_merges_maps_and_replaces_lists() -> None:
    under, _ = inline(
        "core: {labelWhiteList: a, ownerRefs: [pod]}\n"
        "sources: {pci: {deviceClassWhitelist: ['02', '03'], deviceLabelFields: [class]}, fake: {labels: {a: '1', b: '1'}}}"
    )
    over, _ = inline("sources: {pci: {deviceClassWhitelist: ['12']}, fake: {labels: {b: '2'}}, custom: [{name: x}]}")
    merged = merge_configs(under, over)
    assert merged is not None
    assert merged.core == under.core
    assert merged.sources.pci.deviceClassWhitelist == ("12",)
    assert merged.sources.pci.deviceLabelFields == ("class",)
    assert merged.sources.fake.labels == {"a": "1", "b": "2"}
    assert merged.sources.custom == [{"name": "x"}]
    assert merge_configs(None, over) == merge_configs(over, None) == over
    assert merge_configs(None, None) is None


MASTER_CONF = """
noPublish: false
autoDefaultNs: true
extraLabelNs: [added.example.com]
denyLabelNs: [denied.example.com]
resourceLabels: [vendor.example.com/feature]
enableTaints: false
labelWhiteList: ".*"
resyncPeriod: 2h
nfdApiParallelism: 10
informerPageSize: 200
klog: {addDirHeader: false, v: 2}
leaderElection: {leaseDuration: 15s, renewDeadline: 10s, retryPeriod: 2s}
"""
"""Every key of nfd-master.conf in any version of Node Feature Discovery, but `restrictions`."""


@pytest.mark.parametrize("key", yaml.safe_load(MASTER_CONF))
def test_every_key_of_nfd_master_has_an_effect_or_a_sentence(key: str) -> None:
    _, values, notes = decode(yaml.safe_dump({key: yaml.safe_load(MASTER_CONF)[key]}))
    assert values or [note for note in notes if note.startswith(f"{key} has no effect: ")]


def test_a_restriction_that_only_a_comment_of_the_chart_names_is_accepted_with_a_sentence() -> None:
    _, _, (note,) = decode("restrictions: {disableTaints: true}")
    assert note.startswith("restrictions.disableTaints has no effect: ")


def test_keys_of_nfd_master_set_the_same_settings_as_flags() -> None:
    _, values, _ = decode(MASTER_CONF)
    assert values == {
        "extra_label_ns": ("added.example.com",),
        "deny_label_ns": ("denied.example.com",),
        "enable_taints": False,
        "label_white_list": ".*",
        "no_publish": False,
    }
    assert decode("{labelWhiteList: a, core: {labelWhiteList: b}}")[1] == {"label_white_list": "b"}


def test_restrictions_of_nfd_master_are_accepted() -> None:
    config, _, notes = decode("restrictions: {allowOverwrite: false, disableLabels: true, denyNodeFeatureLabels: null}")
    assert config.restrictions == Restrictions(allow_overwrite=False, disable_labels=True)
    assert notes == ()
    assert decode("restrictions: {nodeFeatureNamespaceSelector: {}}")[0].restrictions == Restrictions(
        node_feature_namespace_selector={}
    )
    with pytest.raises(SettingsError, match=r"restrictions.nodeFeatureNamespaceSelector: is not supported. Limit with"):
        decode("restrictions: {nodeFeatureNamespaceSelector: {matchLabels: {a: b}}}")


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_hooks_of_earlier_versions_are_accepted_with_a_sentence_about_feature_files(enabled: str) -> None:
    config, _, (note,) = decode(f"sources: {{local: {{hooksEnabled: {enabled}}}}}")
    assert source_settings(config) == SourceSettings()
    assert note.startswith(
        "sources.local.hooksEnabled has no effect: Node Feature Discovery removed hooks. Write feature files"
    )


def test_sources_of_earlier_versions_are_accepted_with_a_sentence() -> None:
    _, values, notes = decode("core: {sources: [cpu, iommu], labelSources: [all, -panicfake], featureSources: [pci]}")
    assert (values["label_sources"], values["feature_sources"]) == (("cpu",), ("pci",))
    assert notes[:2] == (
        "core.labelSources: -panicfake has no effect: Node Feature Discovery removed this source",
        "core.sources: iommu has no effect: Node Feature Discovery removed this source",
    )


def test_sources_without_settings_are_accepted_with_a_sentence() -> None:
    _, values, notes = decode("sources: {system: {labels: [x]}, network: {}, memory: null}")
    assert (values, notes) == ({}, ("sources.system has no effect: this source has no settings",))


@pytest.mark.parametrize("part", ["worker", "master"])
def test_the_values_of_the_chart_in_place_of_a_config_are_one_problem(part: str) -> None:
    text = f"{{image: {{tag: v1}}, {part}: {{config: {{core: {{}}}}}}}}"
    sentence = f"{part}.config is a value of NFD's chart. Write the content of the value to the file"
    assert problems(text) == (f"--options: {sentence}",)


def test_a_field_of_labels_that_does_not_exist_has_a_note_and_the_others_work() -> None:
    config, _, notes = decode("sources: {pci: {deviceLabelFields: [vendr, class]}, usb: {deviceLabelFields: [serial]}}")
    assert source_settings(config).pci_device_label_fields == ("vendr", "class")
    (note,) = notes
    assert note.startswith(
        "sources.pci.deviceLabelFields: vendr is not a field (did you mean vendor?). The fields are class, "
    )


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Returns the path and the value of each key that contains no further keys."""
    if not isinstance(value, dict) or not value:
        return [(path, value)]
    return [leaf for key, below in value.items() for leaf in leaves(below, (*path, key))]


def nested(path: tuple[str, ...], value: Any) -> Any:
    return value if not path else {path[0]: nested(path[1:], value)}


@pytest.mark.parametrize("leaf", leaves(yaml.safe_load(EVERY_KEY)), ids=lambda leaf: ".".join(leaf[0]))
def test_each_key_of_nfd_worker_alone_is_accepted_and_null_is_absent(leaf: tuple[tuple[str, ...], Any]) -> None:
    path, value = leaf
    decode(yaml.safe_dump(nested(path, value)))
    for depth in range(1, len(path) + 1):
        config, values, notes = decode(yaml.safe_dump(nested(path[:depth], None)))
        assert (source_settings(config), values, notes) == (SourceSettings(), {}, ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("labelSources: [cpu]", "labelSources: unknown key. It belongs in `core`"),
        ("core: {deviceClassWhitelist: []}", "core.deviceClassWhitelist: unknown key. It belongs in `sources.pci` or `sources.usb`"),
        ("core: {extraLabelNs: []}", "core.extraLabelNs: unknown key. It belongs in the top level of the file"),
        ("core: {custom: []}", "core.custom: unknown key. It belongs in `sources`"),
        ("sources: {cpuid: {attributeBlacklist: []}}", "sources.cpuid: unknown key. It belongs in `sources.cpu`"),
        ("sources: {cpu: {attributeBlacklist: []}}", "sources.cpu.attributeBlacklist: unknown key. It belongs in `sources.cpu.cpuid`"),
    ],
)  # fmt: skip
def test_a_key_in_the_wrong_place_is_answered_with_its_place(text: str, problem: str) -> None:
    assert problems(text)[0] == f"--options: {problem}"


KEYS = st.sampled_from(
    sorted({*yaml.safe_load(EVERY_KEY)["core"], *yaml.safe_load(EVERY_KEY)["sources"], "core", "cpuid", "labels"})
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(st.fixed_dictionaries({}, optional={"core": VALUES, "sources": VALUES}))
def test_any_file_is_decoded_or_refused_with_sentences(data: Any) -> None:
    config = None
    found: tuple[str, ...] = ()
    try:
        config, _ = inline(yaml.safe_dump(data))
    except SettingsError as error:
        found = error.problems
    assert all(problem.startswith("--options: ") for problem in found)
    if config is not None:
        assert merge_configs(config, WorkerFile()) == config
        source_settings(config)


@pytest.mark.parametrize(
    ("word", "note"),
    [
        ("kernel.config", None),
        ("cpu.*", None),
        ("cpu.cpu*", None),
        ("*", None),
        ("local.label", None),
        ("kernel.confg", "'kernel.confg' matches no feature (did you mean kernel.config?)"),
        ("CPU.cpuid", "'CPU.cpuid' matches no feature (did you mean cpu.cpuid?)"),
        ("cpuu.*", "'cpuu.*' matches no feature (did you mean cpu.cpuid?)"),
        ("usb", "'usb' matches no feature (the features of usb are usb.device)"),
        ("", "'' matches no feature"),
        ("\x1b[2J", "'\\x1b[2J' matches no feature"),
    ],
)
def test_an_excluded_feature_that_matches_nothing_has_no_effect(word: str, note: str | None) -> None:
    assert list(find_idle_exclusions([word])) == ([] if note is None else [note])
