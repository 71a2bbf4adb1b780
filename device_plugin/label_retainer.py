"""Retains labels of the Node for a while after their removal."""

from collections.abc import Collection

import structlog

from node_core.domain.labels import Labels

log = structlog.get_logger(__name__)


class LabelRetainer:
    """Retains labels for a while after their removal. An agent restores a label that was removed by mistake, or from a new Node object.

    Another value of a label takes effect at once. due: when the first retained label is dropped; None if no label is retained.
    """

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._removed_at: dict[str, float] = {}
        self._seconds: float | None = None

    @property
    def due(self) -> float | None:
        earliest = min(self._removed_at.values(), default=None)
        return None if earliest is None or self._seconds is None else earliest + self._seconds

    def retain(self, labels: Labels, keys: Collection[str], now: float, seconds: float | None) -> Labels:
        """Returns the labels, with those of `keys` that were removed less than `seconds` ago. seconds: None to retain them forever."""
        self._seconds = seconds
        for key in keys:
            if key in labels:
                self._values[key] = labels[key]
                if self._removed_at.pop(key, None) is not None:
                    log.info("label_restored", label=key)
            elif key in self._values:
                if key not in self._removed_at:
                    log.warning(
                        "label_removed", label=key, effect="none, unless the label remains absent", seconds=seconds
                    )
                removed_at = self._removed_at.setdefault(key, now)
                if seconds is not None and now - removed_at >= seconds:
                    del self._values[key], self._removed_at[key]
        return {**{key: self._values[key] for key in self._removed_at}, **labels}
