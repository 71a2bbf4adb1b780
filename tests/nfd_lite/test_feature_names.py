"""Hints for names of features that no source provides."""

from collections.abc import Callable

from nfd_lite.feature_names import (
    FEATURE_NAMES,
    WITHOUT_ATTRIBUTES,
    describe_unknown,
    suggest_feature,
    unknown_features,
)
from nfd_lite.rules.model import Rule, Term
from nfd_lite.sources import Host, SourceSettings, collect


def test_the_names_contain_every_feature_of_a_host(named_host: Callable[[str], Host]) -> None:
    every = SourceSettings(feature_sources=frozenset({name.partition(".")[0] for name in FEATURE_NAMES}))
    assert collect(named_host("xeon-h100"), every).features.names <= FEATURE_NAMES


def test_features_without_attributes_are_known(named_host: Callable[[str], Host]) -> None:
    every = SourceSettings(feature_sources=frozenset({name.partition(".")[0] for name in FEATURE_NAMES}))
    features = collect(named_host("xeon-h100"), every).features
    others = {*features.flags, *features.instances} - {"cpu.cpuid", "cpu.rdt"}
    assert others
    assert others <= WITHOUT_ATTRIBUTES <= FEATURE_NAMES
    assert WITHOUT_ATTRIBUTES.isdisjoint(features.attributes)


def test_names_are_not_case_sensitive_and_are_reported_once() -> None:
    terms = tuple(Term(feature=name) for name in ("System.OSRelease", "x.y", "Vendor.Thing", "x.y"))
    rule = Rule(name="r", match_features=terms[:2], match_any=(terms[2:],))
    assert unknown_features(rule, ["vendor.thing"]) == ["x.y"]


def test_a_hint_stays_in_the_domain_of_the_name() -> None:
    assert suggest_feature("cpu.feature", ["local.feature"]).startswith(" (the features of cpu are cpu.coprocessor, ")
    assert suggest_feature("kernel.configs") == " (did you mean kernel.config?)"
    assert suggest_feature("kernel.config") == ""
    assert suggest_feature("vendor.things", ["vendor.thing"]) == " (did you mean vendor.thing?)"
    assert suggest_feature("qqqqq") == ""


def test_long_names_are_cut() -> None:
    assert len(describe_unknown("x" * 5000)) < 300
