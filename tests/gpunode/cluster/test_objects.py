"""A selector as a query of the API server."""

from gpunode.cluster.objects import LabelSelector, render_selector
from node_core.domain.label_selector import parse_label_selector
from node_core.scheduling.objects import Requirement


def test_a_selector_is_written_as_the_api_server_reads_it() -> None:
    expressions = (
        Requirement(key="b", operator="In", values=("1", "2")),
        Requirement(key="c", operator="NotIn", values=("3",)),
        Requirement(key="d", operator="Exists"),
        Requirement(key="e", operator="DoesNotExist"),
        Requirement(key="f", operator="New"),
    )
    text = render_selector(LabelSelector(match_labels={"a": "x"}, match_expressions=expressions))
    assert text == "a=x,b in (1,2),c notin (3),d,!e"
    read = [(each.key, each.operator, each.values) for each in parse_label_selector(text)]
    assert read == [
        ("a", "In", frozenset({"x"})),
        *((each.key, each.operator, set(each.values)) for each in expressions[:-1]),
    ]
