"""All functions of templates: those of Go and those of Sprig, by topic. As in Go, Sprig's function replaces Go's function of the same name.

Functions are pure. A function whose result can be much larger than its arguments calls `run.reserve` first.
"""

from collections.abc import Mapping

from gotemplate.function import Function
from gotemplate.functions import (
    builtins,
    conversions,
    dates,
    dicts,
    encoding,
    lists,
    math,
    paths,
    regex,
    semver,
    strings,
    types,
    unsupported,
    urls,
    words,
)

_TOPICS = (
    builtins, conversions, dates, dicts, encoding, lists, math, paths, regex, semver, strings, types, unsupported, urls,
    words,
)  # fmt: skip

FUNCTIONS: Mapping[str, Function] = {name: code for topic in _TOPICS for name, code in topic.FUNCTIONS.items()}
