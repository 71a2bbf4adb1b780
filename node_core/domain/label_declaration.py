"""The documentation of a label, beside the code that sets the label. docs/reference/labels.md and `gpunode labels` show it."""

import re

import msgspec


class LabelDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """The documentation of a label.

    key: with `<...>` for variable parts. value: meaning and unit. source: origin of the value, such as a file of the host or an NVML
    function. presence: the nodes with this label.
    """

    key: str
    value: str
    source: str
    presence: str

    def matches(self, key: str) -> bool:
        """Returns whether the key of a label matches the pattern `key`."""
        parts = re.split(r"<[^>]*>", self.key)
        return re.fullmatch(".+".join(map(re.escape, parts)), key) is not None
