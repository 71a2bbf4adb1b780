"""The features that rules can use, and mistakes in their names. PURE."""

from collections.abc import Iterable

from nfd_lite.node_labels import NODE_LABEL
from nfd_lite.rules.evaluate import RULE_MATCHED, references
from nfd_lite.rules.expression import VALUELESS
from nfd_lite.rules.model import Rule
from nfd_lite.sources import ALL
from node_core.schema import similar

FEATURE_NAMES = frozenset({*(each.name for each in ALL), RULE_MATCHED, NODE_LABEL})
"""All features of the sources, and the features that nfd-lite adds."""
WITHOUT_ATTRIBUTES = frozenset(
    (
        *("extra.nic", "extra.pcinuma", "fake.flag", "fake.instance", "kernel.enabledmodule", "kernel.loadedmodule"),
        *("memory.nv", "network.device", "network.virtual", "pci.device", "storage.block", "usb.device"),
    )
)
"""Features of the sources with flags or instances alone. A value `@domain.feature.element` reads only attributes."""
_FLAGS = {"cpu.cpuid": ("AVX10_VERSION",), "kernel.enabledmodule": (), "kernel.loadedmodule": ()}
"""Features of flags -> the elements that are attributes instead."""
_DOMAINS = {name.partition(".")[0] for name in FEATURE_NAMES}


def unknown_features(rule: Rule, present: Iterable[str] = ()) -> list[str]:
    """Returns the names, in the spelling of the rule, that no source and no feature in `present` has. Sorted, each name once."""
    known = {*FEATURE_NAMES, *(name.lower() for name in present)}
    names = {*(term.feature for term in rule.terms), *(".".join(parts[:2]) for parts in references(rule))}
    return sorted(name for name in names if name.lower() not in known)


def reference_problems(rule: Rule) -> list[str]:
    """Returns why values `@domain.feature.element` have no effect on any node, although a source provides the feature."""
    problems: list[str] = []
    for domain, feature, element in references(rule):
        name = f"{domain}.{feature}"
        if name.lower() in WITHOUT_ATTRIBUTES:
            why = f"{name.lower()} has no attributes, only flags or instances. Write a labelsTemplate"
        elif name.lower() in FEATURE_NAMES and name != name.lower():
            why = f"names of features after @ are case-sensitive. Write {name.lower()}"
        else:
            continue
        problems.append(f"@{name}.{element[:80]}: {why}")
    return problems


def flag_problems(rule: Rule) -> list[str]:
    """Returns which expressions never match, because they need the value of a flag."""
    return [
        f"{term.feature}: {element[:80]}: is a flag, which has no value, so {each.op} never matches. Write op: Exists"
        for term in rule.terms
        if (attributes := _FLAGS.get(term.feature.lower())) is not None
        for element, each in (term.match_expressions or {}).items()
        if element not in attributes and each.op not in VALUELESS
    ]


def is_open(name: str) -> bool:
    """Returns whether only a NodeFeature object of another program can provide a feature."""
    domain = name.lower().partition(".")[0]
    return domain == "local" or domain not in _DOMAINS


def describe_unknown(name: str) -> str:
    """Returns a sentence about a feature that no source provides."""
    only = (
        ". Only NodeFeature objects of other programs can provide it, with --merge-node-features"
        if is_open(name)
        else ""
    )
    return f"no source provides the feature {name[:80]!r}{suggest_feature(name)}{only}"


def suggest_feature(name: str, present: Iterable[str] = ()) -> str:
    """Returns a hint to a similar name. A name of an existing domain has hints to this domain only; an empty text for a known name."""
    known = sorted({*FEATURE_NAMES, *present})
    domain, _, element = name.lower().partition(".")
    if name.lower() in known:
        return ""
    siblings = [each for each in known if each.partition(".")[0] == domain]
    if not siblings:
        near = next((each for each in reversed(known) if each.partition(".")[2] == element), similar(name, known))
        return f" (did you mean {near}?)" if near else ""
    near_element = similar(element, [each.partition(".")[2] for each in siblings])
    if near_element is not None:
        return f" (did you mean {domain}.{near_element}?)"
    return f" (the features of {domain} are {', '.join(siblings)})"
