"""The keys of labels and other outputs: the default namespace and the white list. PURE. Source: Node Feature Discovery."""

from collections.abc import Mapping
from typing import Protocol

PREFIX = "feature.node.kubernetes.io/"


class WhiteList(Protocol):
    """A compiled regular expression."""

    def search(self, text: str) -> object | None: ...


def qualify_keys(values: Mapping[str, str]) -> dict[str, str]:
    """Adds PREFIX to keys without a namespace. If both forms of a key exist, the full key takes precedence. Sorted."""
    unqualified = {PREFIX + key: value for key, value in values.items() if "/" not in key}
    return dict(sorted((unqualified | {key: value for key, value in values.items() if "/" in key}).items()))
