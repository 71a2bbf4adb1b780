"""The gate: the Node label that allows the plugin to advertise GPUs. PURE."""

import msgspec

from node_core.domain.labels import GPU_PRESENT, Labels, key_problem, value_problem


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """A label of the Node. An empty key means that the gate is always open; the plugin still waits until it has read the Node."""

    key: str = GPU_PRESENT
    value: str = "true"

    def is_open(self, labels: Labels) -> bool:
        """Returns whether the plugin may advertise the GPUs of a Node with these labels."""
        return self.problem(labels) is None

    def problem(self, labels: Labels) -> str | None:
        """Returns what these labels lack; None if the gate is open."""
        value = labels.get(self.key)
        if not self.key or value == self.value:
            return None
        if value is None:
            return f"the Node does not have the label {self.key}={self.value}"
        return f"the label {self.key} of the Node is {value!r}, not {self.value!r}"


def parse_gate(text: str) -> Gate:
    """Parses `key=value`, or `key` for the value `true`. An empty text means no gate. Raises ValueError."""
    key, equals, value = text.partition("=")
    gate = Gate(key=key, value=value if equals else "true")
    problem = (key_problem(gate.key) or value_problem(gate.value)) if text else None
    if problem:
        raise ValueError(f"{text!r} is not a label: {problem}")
    return gate
