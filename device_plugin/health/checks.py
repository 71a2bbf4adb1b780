"""DP_DISABLE_HEALTHCHECKS and DP_ENABLE_HEALTHCHECKS: which health checks count. PURE. Source: k8s-device-plugin README.

Both hold words with commas between. A number is an Xid, `xids` all of them, `all` besides them what GPUs say of themselves. What is
enabled wins over what is disabled.
"""

from dataclasses import dataclass

from node_core.domain.xid import XidPolicy

DISABLE = "DP_DISABLE_HEALTHCHECKS"
ENABLE = "DP_ENABLE_HEALTHCHECKS"
_ALL = "all"
_XIDS = "xids"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """xids: without the config file's classes. polled: whether what GPUs say of themselves counts. ignored: words that mean nothing."""

    xids: XidPolicy
    polled: bool
    ignored: tuple[str, ...] = ()


def parse_checks(disable: str, enable: str) -> Checks:
    disabled, enabled = _words(disable), _words(enable)
    every = (*disabled, *enabled)
    return Checks(
        xids=XidPolicy(
            disabled=_numbers(disabled),
            enabled=_numbers(enabled),
            all_disabled=not {_ALL, _XIDS}.isdisjoint(disabled),
            all_enabled=not {_ALL, _XIDS}.isdisjoint(enabled),
        ),
        polled=_ALL not in disabled or _ALL in enabled,
        ignored=tuple(dict.fromkeys(word for word in every if word not in (_ALL, _XIDS) and not _is_xid(word))),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip().lower()))


def _numbers(words: tuple[str, ...]) -> frozenset[int]:
    return frozenset(int(word) for word in words if _is_xid(word))


def _is_xid(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 10 and int(word) > 0
