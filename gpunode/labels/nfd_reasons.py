"""Why nfd-lite does not publish a label: a setting, a rule that does not match, a missing fact of the host, or a failure."""

from collections.abc import Iterable, Iterator, Sequence

from gpunode.labels.agents import NFD, Agents
from gpunode.labels.nfd_limits import find_limits, remove_limits
from gpunode.labels.published import find_collector, plain
from gpunode.labels.reason import RETAINED, Reason
from gpunode.labels.rule_views import RuleView, describe_mismatch, find_missing_features
from nfd_lite.label_keys import PREFIX
from nfd_lite.rules.explain import trace_term
from nfd_lite.rules.model import Expression, Op, Term
from nfd_lite.sources import GPU_PRESENT_COLLECTOR
from nfd_lite.sources.pci import DEVICE
from node_core.domain.features import Features
from node_core.domain.label_declaration import LabelDeclaration
from node_core.host.pci import NVIDIA

_MAX_ATTRIBUTES = 8


def find_nfd_reasons(key: str, agents: Agents, rules: Sequence[RuleView]) -> Iterator[Reason]:
    if agents.nfd.is_unknown:
        yield Reason(agent=NFD, why=RETAINED, evidence=tuple(agents.nfd.problems.values()))
        return
    unlimited = find_limits(key, agents.nfd_settings, lambda settings: agents.run_nfd(settings).labels)
    if unlimited is not None:
        *others, last = unlimited.whys
        value = f"without {'these limits' if others else 'this limit'} the value would be {unlimited.value or 'empty'}"
        yield from (Reason(agent=NFD, why=why) for why in others)
        yield Reason(agent=NFD, why=last, evidence=(value,))
        return
    refused = next((each for each in agents.nfd.refused if each.key == key), None)
    if refused is not None:
        yield Reason(agent=NFD, why=f"the API server would refuse the label: {refused.why}")
        return
    yield from (_rule_reason(view, key, agents) for view in rules if view.declares(key))
    if (found := find_collector(key)) is not None:
        yield _feature_reason(key, *found, agents)
    names = (repr(key), repr(key.removeprefix(PREFIX)))
    problems = (why for whys in agents.nfd.collection.problems.values() for why in whys)
    yield from (Reason(agent=NFD, why=why) for why in problems if any(name in why for name in names))


def find_template_reasons(rules: Iterable[RuleView]) -> tuple[Reason, ...]:
    """Returns the rules with a template, which can set labels of any name, and which do not match."""
    return tuple(
        Reason(
            agent=NFD,
            why=f"the rule {view.name} has a labelsTemplate, which can set this label, and does not match",
            evidence=tuple(describe_mismatch(view.trace)),
        )
        for view in rules
        if view.rule.labels_template and not view.trace.matched
    )


def _rule_reason(view: RuleView, key: str, agents: Agents) -> Reason:
    problems = [each.why for each in view.trace.problems if each.is_failure or each.key == key]
    if missing := find_missing_features(view, agents.unread_features):
        evidence = tuple(
            f"{name}: {why}" for name, why in agents.nfd.collection.errors.items() if name.lower() in missing
        )
        return Reason(agent=NFD, why=f"the rule {view.name} waits for features that cannot be read", evidence=evidence)
    if view.trace.matched is None:
        return Reason(agent=NFD, why=f"the rule {view.name} cannot be evaluated", evidence=tuple(problems))
    if view.trace.matched:
        return Reason(
            agent=NFD, why=f"the rule {view.name} matches, but its label is refused", evidence=tuple(problems)
        )
    return Reason(agent=NFD, why=f"the rule {view.name} does not match", evidence=tuple(describe_mismatch(view.trace)))


def _feature_reason(key: str, collector: str, declared: LabelDeclaration, agents: Agents) -> Reason:
    """Explains with the features of a scan in which the source is on."""
    scan = agents.run_nfd(remove_limits(key, agents.nfd_settings)).collection
    name = DEVICE if collector == GPU_PRESENT_COLLECTOR else collector
    if (error := scan.errors.get(name)) is not None:
        return Reason(agent=NFD, why=RETAINED, evidence=(f"{name}: {error}",))
    if collector == GPU_PRESENT_COLLECTOR:
        observed = describe_element(DEVICE, "vendor", Expression(op=Op.IN, value=(NVIDIA,)), scan.features)
    else:
        observed = describe_feature(name, _variable_part(key, declared), scan.features)
    is_off = all(each.name != collector for each in agents.nfd.results)
    also = (f"the source {collector.partition('.')[0]} is off, too",) if is_off else ()
    return Reason(
        agent=NFD,
        why=f"this host does not fulfil the condition of the label: {plain(declared.presence)}",
        evidence=(observed, *also),
    )


def describe_feature(name: str, element: str | None, features: Features) -> str:
    """Returns what the host has in a feature: the element if one is given, all attributes, or the number of its instances or flags."""
    values = features.attributes.get(name, {})
    if element is not None:
        return describe_element(name, element, Expression(op=Op.EXISTS), features)
    if 0 < len(values) <= _MAX_ATTRIBUTES:
        return f"{name}: {', '.join(f'{key}={value}' for key, value in sorted(values.items()))}"
    return f"{name}: {trace_term(Term(feature=name), features).why or 'no values'}"


def describe_element(name: str, element: str, expression: Expression, features: Features) -> str:
    """Returns what the host has in an element of a feature."""
    traced = trace_term(Term(feature=name, match_expressions={element: expression}), features)
    return f"{name} {element}: {''.join(each.observed for each in traced.expressions) or traced.why}"


def _variable_part(key: str, declared: LabelDeclaration) -> str | None:
    """Returns the element of a feature in a key such as `cpu-cpuid.<flag>`; None for other keys."""
    start, _, rest = declared.key.partition("<")
    return key.removeprefix(start) if rest.find(">") == len(rest) - 1 >= 0 else None
