"""Parses DP_DISABLE_HEALTHCHECKS and DP_ENABLE_HEALTHCHECKS. PURE. Source: k8s-device-plugin README.

Both are comma-separated lists of words: an Xid number, `xids` for every Xid, or `all` for every Xid and the polled state of GPUs. Enabled
checks take precedence over disabled checks.
"""

import msgspec

from gpu_core.domain.xid import XidPolicy

_ALL = "all"
_XIDS = "xids"


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """xids: the policy without the classes of the config file. polled: whether the polled state of GPUs counts. ignored: invalid words."""

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
