"""Whether this node's GPUs are to be served: the label that nfd-lite sets says so, or another one, or none has to. Pure."""

from dataclasses import dataclass

from node_core.domain.labels import GPU_PRESENT, Labels, key_problem, value_problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """key empty: always open, once the Node was seen."""

    key: str = GPU_PRESENT
    value: str = "true"

    def is_open(self, labels: Labels) -> bool:
        """Whether the Node's labels ask for its GPUs to be advertised."""
        return not self.key or labels.get(self.key) == self.value


def parse_gate(text: str) -> Gate:
    """`key=value`, a key alone for the value `true`, or nothing for no gate. Raises ValueError."""
    key, equals, value = text.partition("=")
    gate = Gate(key=key, value=value if equals else "true")
    problem = (key_problem(gate.key) or value_problem(gate.value)) if text else None
    if problem:
        raise ValueError(f"{text!r} is no label: {problem}")
    return gate
