"""Terms and groups on flags, attributes and instances, and the matched elements."""

from typing import Any

import pytest

from nfd_lite.rules.decode import decode_rule
from nfd_lite.rules.expression import RuleError
from nfd_lite.rules.match import match_rule, match_term
from nfd_lite.rules.model import Rule, Term
from node_core.decode import Cursor
from node_core.domain.features import Features

GPU = {"vendor": "10de", "class": "0302", "sriov_totalvfs": "16"}
NIC = {"vendor": "15b3", "class": "0200"}
FEATURES = Features(
    flags={
        "cpu.cpuid": frozenset({"AVX", "AVX2", "SSE"}),
        "both.kinds": frozenset({"shared", "flag"}),
        "no.flags": frozenset(),
    },
    attributes={
        "cpu.cpuid": {"AVX10_VERSION": "2"},
        "both.kinds": {"shared": "1", "attribute": "x"},
        "kernel.version": {"major": "5", "full": "5.15.0"},
        "no.attributes": {},
        "x.mixed": {"vendor": "attr"},
        "deep.name.with/slash": {"a": "1"},
        "nodot": {"a": "1"},
    },
    instances={"pci.device": (GPU, NIC, {}), "no.instances": (), "x.mixed": (GPU, NIC)},
)
EXISTS = {"op": "Exists"}
ABSENT = {"op": "DoesNotExist"}


def term(feature: str, expressions: Any = None, name: Any = None) -> Term:
    fields = {"feature": feature, "matchExpressions": expressions, "matchName": name}
    return rule(matchFeatures=[fields]).match_features[0]


def rule(**fields: Any) -> Rule:
    decoded = decode_rule(Cursor(value={"name": "r", **fields}))
    assert not decoded.problems
    return decoded


def is_in(*values: str) -> dict[str, Any]:
    return {"op": "In", "value": list(values)}


@pytest.mark.parametrize(
    ("tested", "elements"),
    [
        pytest.param(term("no.such"), None, id="no such feature"),
        pytest.param(term("no.such", {"a": ABSENT}), None, id="not even for DoesNotExist"),
        pytest.param(term("no.such", {}), None, id="not even for no expression"),
        pytest.param(term("cpu.cpuid"), (), id="the feature alone"),
        pytest.param(term("no.flags"), (), id="an empty feature alone"),
        pytest.param(term("no.instances"), (), id="a feature without instances alone"),
        pytest.param(term("CPU.CpuID"), (), id="the feature in another case"),
        pytest.param(term("cpu.cpuid", {}), (), id="empty expressions on flags"),
        pytest.param(term("no.attributes", {}), (), id="empty expressions on no attribute"),
        pytest.param(term("pci.device", {}), (GPU, NIC, {}), id="empty expressions match every instance"),
        pytest.param(term("no.instances", {}), None, id="empty expressions need an instance"),
        pytest.param(term("cpu.cpuid", {"AVX": EXISTS}), ({"Name": "AVX"},), id="a flag"),
        pytest.param(term("cpu.cpuid", {"avx": EXISTS}), None, id="a flag in another case"),
        pytest.param(term("cpu.cpuid", {"AVX": is_in("true")}), None, id="a flag has no value"),
        pytest.param(term("cpu.cpuid", {"AVX": {"op": "IsTrue"}}), None, id="a flag is not true"),
        pytest.param(
            term("cpu.cpuid", {"SSE": EXISTS, "AVX": EXISTS, "AVX10_VERSION": {"op": "Ge", "value": ["1"]}}),
            ({"Name": "AVX"}, {"Name": "AVX10_VERSION", "Value": "2"}, {"Name": "SSE"}),
            id="flags and attributes together, by name",
        ),
        pytest.param(
            term("both.kinds", {"shared": EXISTS}),
            ({"Name": "shared"}, {"Name": "shared", "Value": "1"}),
            id="a name that is flag and attribute",
        ),
        pytest.param(
            term("both.kinds", {"none": ABSENT}),
            ({"Name": "none"}, {"Name": "none", "Value": ""}),
            id="what is absent from both kinds",
        ),
        pytest.param(term("both.kinds", {"flag": ABSENT}), None, id="absent from attributes alone is not enough"),
        pytest.param(term("both.kinds", {"attribute": ABSENT}), None, id="absent from flags alone is not enough"),
        pytest.param(term("no.flags", {"x": ABSENT}), ({"Name": "x"},), id="an absent flag"),
        pytest.param(term("no.attributes", {"x": ABSENT}), ({"Name": "x", "Value": ""},), id="an absent attribute"),
        pytest.param(term("kernel.version", {"x": {"op": "NotIn", "value": ["1"]}}), None, id="NotIn on a missing key"),
        pytest.param(
            term("kernel.version", {"major": is_in("5"), "minor": EXISTS}), None, id="every expression has to hold"
        ),
        pytest.param(term("pci.device", {"vendor": is_in("10de"), "class": is_in("0302")}), (GPU,), id="an instance"),
        pytest.param(
            term("pci.device", {"vendor": is_in("10de"), "class": is_in("0200")}),
            None,
            id="one instance has to have it all",
        ),
        pytest.param(term("pci.device", {"vendor": EXISTS}), (GPU, NIC), id="instances in their order"),
        pytest.param(term("pci.device", {"sriov_totalvfs": ABSENT}), (NIC, {}), id="instances without an attribute"),
        pytest.param(
            term("x.mixed", {"vendor": EXISTS}),
            ({"Name": "vendor", "Value": "attr"}, GPU, NIC),
            id="names first, then instances",
        ),
        pytest.param(term("x.mixed", {"vendor": is_in("10de")}), (GPU,), id="instances are enough"),
        pytest.param(
            term("x.mixed", {"vendor": is_in("attr")}), ({"Name": "vendor", "Value": "attr"},), id="names are enough"
        ),
        pytest.param(
            term("cpu.cpuid", name={"op": "InRegexp", "value": ["^AVX"]}),
            ({"Name": "AVX"}, {"Name": "AVX10_VERSION", "Value": "2"}, {"Name": "AVX2"}),
            id="names of flags and attributes",
        ),
        pytest.param(term("cpu.cpuid", name=is_in("none")), None, id="no name"),
        pytest.param(term("cpu.cpuid", name=ABSENT), None, id="an existing name exists"),
        pytest.param(term("no.flags", name=EXISTS), None, id="no name to match"),
        pytest.param(
            term("pci.device", name=is_in("sriov_totalvfs")), (GPU,), id="instances by the names of attributes"
        ),
        pytest.param(term("pci.device", name=EXISTS), (GPU, NIC), id="each instance once"),
        pytest.param(
            term("cpu.cpuid", {"SSE": EXISTS}, is_in("SSE", "AVX")),
            ({"Name": "SSE"}, {"Name": "AVX"}, {"Name": "SSE"}),
            id="expressions first, then names, with repeats",
        ),
        pytest.param(term("cpu.cpuid", {"none": EXISTS}, EXISTS), None, id="names alone are not enough"),
        pytest.param(term("cpu.cpuid", {"SSE": EXISTS}, is_in("none")), None, id="expressions alone are not enough"),
    ],
)
def test_the_matched_elements_of_a_term(tested: Term, elements: tuple[dict[str, str], ...] | None) -> None:
    assert match_term(tested, FEATURES) == elements


BROKEN = {"op": "Gt", "value": ["1"]}
"""An error on `full`, whose value is no integer."""


def test_an_error_contains_feature_element_and_value() -> None:
    with pytest.raises(RuleError, match=r"^kernel.VERSION: full: '5.15.0' is not an integer$"):
        match_term(term("kernel.VERSION", {"full": BROKEN}), FEATURES)


def test_an_error_in_a_name_does_not_depend_on_the_order() -> None:
    with pytest.raises(RuleError, match=r"^cpu.cpuid: 'AVX' is not an integer$"):
        match_term(term("cpu.cpuid", name=BROKEN), FEATURES)


@pytest.mark.parametrize("keys", [("full", "major"), ("major", "full")], ids=str)
def test_an_error_does_not_matter_if_another_expression_is_false(keys: tuple[str, str]) -> None:
    expressions = {"full": BROKEN, "major": is_in("6")}
    assert match_term(term("kernel.version", {key: expressions[key] for key in keys}), FEATURES) is None


def test_an_error_does_not_matter_if_the_name_does_not_match() -> None:
    assert match_term(term("kernel.version", {"full": BROKEN}, is_in("none")), FEATURES) is None


def test_an_error_in_one_instance_is_an_error_of_the_term() -> None:
    features = Features(instances={"pci.device": ({"class": "0302"}, {"class": "0xx"})})
    with pytest.raises(RuleError, match=r"pci.device: class: '0xx' is not an integer"):
        match_term(term("pci.device", {"class": BROKEN}), features)


def test_an_error_in_an_instance_that_does_not_match_does_not_matter() -> None:
    features = Features(instances={"pci.device": ({"class": "0302", "vendor": "a"}, {"class": "0xx", "vendor": "b"})})
    assert (
        match_term(term("pci.device", {"class": BROKEN, "vendor": is_in("a")}), features)
        == features.instances["pci.device"][:1]
    )


FITS = {"feature": "kernel.version", "matchExpressions": {"major": is_in("5")}}
MISSES = {"feature": "kernel.version", "matchExpressions": {"major": is_in("6")}}
FAILS = {"feature": "kernel.version", "matchExpressions": {"full": BROKEN}}
MAJOR = {"kernel.version": ({"Name": "major", "Value": "5"},)}


def group(*terms: Any) -> dict[str, Any]:
    return {"matchFeatures": list(terms)}


@pytest.mark.parametrize(
    ("fields", "matches"),
    [
        pytest.param({}, ({},), id="a rule that asks nothing"),
        pytest.param(group(), ({},), id="an empty list of terms"),
        pytest.param(group(FITS), (MAJOR,), id="a term"),
        pytest.param(group(FITS, MISSES), None, id="all terms have to match"),
        pytest.param(
            group(FITS, FITS), ({"kernel.version": MAJOR["kernel.version"] * 2},), id="terms of one feature append"
        ),
        pytest.param({"matchAny": []}, ({},), id="no group asks nothing"),
        pytest.param({"matchAny": [group()]}, ({},), id="an empty group matches"),
        pytest.param({"matchAny": [group(MISSES), group(FITS)]}, (MAJOR,), id="one group is enough"),
        pytest.param({"matchAny": [group(MISSES), group(MISSES)]}, None, id="no group"),
        pytest.param(
            {"matchAny": [group(FITS)], **group(FITS)}, (MAJOR, MAJOR), id="matchAny first, then matchFeatures"
        ),
        pytest.param({"matchAny": [group(FITS)], **group(MISSES)}, None, id="matchAny alone is not enough"),
        pytest.param({"matchAny": [group(MISSES)], **group(FITS)}, None, id="matchFeatures alone is not enough"),
        pytest.param(group(FAILS, MISSES), None, id="an error beside a miss"),
        pytest.param({"matchAny": [group(FAILS), group(FITS)]}, (MAJOR,), id="an error beside a group that matches"),
        pytest.param({"matchAny": [group(FAILS)], **group(MISSES)}, None, id="an error of matchAny beside a miss"),
    ],
)
def test_the_matches_of_groups(fields: dict[str, Any], matches: Any) -> None:
    assert match_rule(rule(**fields), FEATURES) == matches


def test_with_templates_every_group_is_matched() -> None:
    fields = {"matchAny": [group(FITS), group(MISSES), group(FITS)], "labelsTemplate": "a=b"}
    assert match_rule(rule(**fields), FEATURES) == (MAJOR, MAJOR)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(group(FAILS), id="a term"),
        pytest.param(group(FITS, FAILS), id="a term beside one that matches"),
        pytest.param({"matchAny": [group(FAILS), group(MISSES)]}, id="a group beside one that does not match"),
        pytest.param({"matchAny": [group(FAILS)], **group(FITS)}, id="the only group"),
        pytest.param(
            {"matchAny": [group(FITS), group(FAILS)], "varsTemplate": "a=b"}, id="a group that templates would see"
        ),
    ],
)
def test_errors_that_decide_the_result(fields: dict[str, Any]) -> None:
    with pytest.raises(RuleError, match=r"kernel.version: full: '5.15.0' is not an integer"):
        match_rule(rule(**fields), FEATURES)
