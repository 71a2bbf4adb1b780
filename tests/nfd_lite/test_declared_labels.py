"""The declarations of the labels of nfd-lite match the labels. The documentation is generated from the declarations."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nfd_lite.declared_labels import DECLARED
from nfd_lite.label_keys import PREFIX
from nfd_lite.rules.custom import BUILT_IN_RULES
from nfd_lite.rules.custom import DECLARED as OF_BUILT_IN_RULES
from nfd_lite.sources import ALL, FakeSettings, Host, SourceSettings, collect
from nfd_lite.sources.api import FeatureCollector
from node_core.domain.label_declaration import LabelDeclaration
from tests.nfd_lite.test_golden import HOSTS

GOLDEN = Path(__file__).parents[1] / "golden" / "nfd_lite"
LINES = tuple(line for name in HOSTS for line in (GOLDEN / f"{name}.txt").read_text().splitlines())
OF_FEATURE_FILES = frozenset({"example.com/row", f"{PREFIX}rack", f"{PREFIX}raid-level"})
SEEN = frozenset(line.partition("=")[0] for line in LINES)
FIXED = tuple(each for declared in DECLARED.values() for each in declared if each.key != "<key>")
LABELLED = tuple(each for each in ALL if each.declared)
NamedHost = Callable[[str], Host]


@pytest.mark.parametrize("key", sorted(SEEN - OF_FEATURE_FILES))
def test_every_label_of_a_captured_host_is_declared_once(key: str) -> None:
    assert len([each.key for each in FIXED if each.matches(key)]) == 1


@pytest.mark.parametrize("collector", LABELLED, ids=lambda each: each.name)
def test_a_collector_declares_the_labels_that_it_owns(collector: FeatureCollector) -> None:
    """The owned prefixes decide which published labels stay when the collector fails."""
    if collector.catch_all:
        assert [each.key for each in collector.declared] == ["<key>"]
        return
    assert all(each.key.startswith(collector.owns) for each in collector.declared)
    assert all(any(each.key.startswith(prefix) for each in collector.declared) for prefix in collector.owns)


def test_a_collector_without_declarations_has_no_labels(named_host: NamedHost) -> None:
    settings = SourceSettings(feature_sources=frozenset({each.source for each in ALL}), fake=FakeSettings())
    for name in ("xeon-h100", "icelake-sriov", "epyc-genoa", "grace-hopper"):
        host = named_host(name)
        for collector in ALL:
            results = collect(host, settings, (collector,)).results
            keys = {key for each in results if each.name == collector.name for key in each.labels or ()}
            assert all(any(each.matches(key) for each in DECLARED.get(collector.name, ())) for key in keys)


def test_the_built_in_rules_declare_their_labels() -> None:
    assert [each.key for each in OF_BUILT_IN_RULES] == [key for rule in BUILT_IN_RULES.rules for key in rule.labels]


@pytest.mark.parametrize("declared", FIXED, ids=lambda each: each.key)
def test_a_declaration_names_its_source(declared: LabelDeclaration) -> None:
    assert declared.value
    assert declared.presence
    assert declared.source.startswith(("/", "`", "the ", "CPUID", "a built-in rule"))
