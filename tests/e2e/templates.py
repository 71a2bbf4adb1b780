"""Generates random templates of functions that gotemplate and Sprig have in common, for test_originals.py."""

import json
from collections.abc import Iterator
from random import Random

from gotemplate.functions import FUNCTIONS
from gotemplate.functions.dates import FUNCTIONS as DATES
from gotemplate.functions.unsupported import FUNCTIONS as REFUSED

_DIFFERENT = frozenset(
    {
        *("typeOf", "typeIs", "typeIsLike", "deepEqual", "printf"),  # gotemplate's lists are []interface {}
        *("print", "println", "html", "js", "urlquery", "call"),
        *("fromJson", "mustFromJson"),  # returns nil for invalid JSON; Go uses a map
        *("split", "splitn"),  # return map[string]string, which more functions accept here
        *("keys", "values"),  # Go's order is random
        *(
            "repeat",
            "until",
            "untilStep",
            "seq",
            "indent",
            "nindent",
            "adler32sum",
        ),  # large outputs; unit tests cover the limits
        *("slice", "mustSlice"),  # Sprig ignores indexes that are not numbers, and refuses strings
        *("wrapWith", "b64dec", "b32dec"),  # Go splits characters into bytes
        *("merge", "mustMerge", "mergeOverwrite", "mustMergeOverwrite", "urlJoin"),  # accept nil as a map in Go
        "round",  # beyond the precision of a float
    }
)
NAMES = tuple(sorted(FUNCTIONS.keys() - DATES.keys() - REFUSED.keys() - _DIFFERENT))
_TEXTS = (
    "", "a", "B", "1", "-1", "0x1f", "1.5", "true", "x y", " a ", "a,b,c", "GPU", "gpu_name", "H100 80GB", "NVIDIA-H100-80GB-HBM3",
    "6.12.41+deb13-amd64", "1.2.3", "v1.10.0-rc.1+b", ">=1.2", "^1", "/usr/lib/x.so", "http://u@h:80/p?q#f", "[a-z]+", "(a)|b", "x*",
    "a$b", "é", "日本", "\t x\n", "ext4+", "__", "a.b-c", '{"a":[1,null]}', "YQ==", "%d %s", "%q", "%5.2f", "<&>",
)  # fmt: skip
_INTEGERS = ("-3", "-2", "-1", "0", "1", "2", "3", "5", "8", "64")
_DICTS = ("(dict)", '(dict "a" 1)', '(dict "a" "x" "b" (list 1))')
_VALUES = (
    *_INTEGERS, *_DICTS, "1.5", "-0.25", "nil", "true", "false", "(list)", '(list "b" "a" "")', "(list 1 2 3)", '(list 1 "a" nil 1)',
)  # fmt: skip
_AROUND = (
    "{{ %s }}",
    "{{ %s | toJson }}",
    "{{ range list (%s) }}[{{ . }}]{{ end }}",
    "{{ with %s }}{{ . }}{{ else }}-{{ end }}",
)


def make_templates(seed: int, count: int) -> Iterator[str]:
    """Generates equal templates for equal seeds."""
    chance = Random(seed)
    for _ in range(count):
        yield chance.choice(_AROUND) % _call(chance, 2)


def make_words(seed: int, count: int) -> Iterator[str]:
    """Generates templates of the functions that split words, with characters of all kinds."""
    chance = Random(seed)
    for _ in range(count):
        name = chance.choice(
            ("camelcase", "snakecase", "kebabcase", "initials", "title", "untitle", "swapcase", "nospace")
        )
        text = "".join(chance.choices("aBc1D2_- +./é日É\t\n\u00a0", k=chance.randint(0, 8)))
        yield f"{{{{ {name} {json.dumps(text, ensure_ascii=False)} }}}}"


def _call(chance: Random, depth: int) -> str:
    name = chance.choice(NAMES)
    function = FUNCTIONS[name]
    variadic = [] if function.variadic is None else [function.variadic] * chance.randint(0, 3)
    return " ".join([name, *(_argument(chance, kind, depth) for kind in (*function.types, *variadic))])


def _argument(chance: Random, kind: type, depth: int) -> str:
    if depth and chance.random() < 0.25:
        return f"({_call(chance, depth - 1)})"
    if kind is str or (kind is object and chance.random() < 0.3):
        return json.dumps(chance.choice(_TEXTS), ensure_ascii=False)
    choices = {int: _INTEGERS, bool: ("true", "false"), dict: _DICTS}
    return chance.choice(choices.get(kind, _VALUES))
