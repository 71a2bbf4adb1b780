"""Reads and writes unquoted YAML values as kubectl does, whose YAML library differs from PyYAML.

Without quotes, `1e04`, `0180`, `0o17` and `y` are numbers and a boolean for kubectl, and text for PyYAML. Dates and `12:30` are text for
kubectl only. Source: sigs.k8s.io/yaml, which resolves values as YAML 1.1 does, with the numbers of Go.
"""

import math
import re
from typing import Any

import yaml

_BOOL, _NULL, _INT, _FLOAT, _TEXT, _MERGE = (
    f"tag:yaml.org,2002:{name}" for name in ("bool", "null", "int", "float", "str", "merge")
)
_TRUE = "y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON"
_FALSE = "n|N|no|No|NO|false|False|FALSE|off|Off|OFF"
_MAX_INT = (1 << 64) - 1
RESOLVERS = (
    (_BOOL, re.compile(rf"(?:{_TRUE}|{_FALSE})$"), list("yYnNtTfFoO")),
    (_NULL, re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    (
        _INT,
        re.compile(r"(?=[-+0-9])[-+]?_*(?:0_*[xX][0-9a-fA-F_]+|0_*[bB][01_]+|0_*[oO]?[0-7_]*|[1-9][0-9_]*)$"),
        list("-+0123456789"),
    ),
    (
        _FLOAT,
        re.compile(
            r"(?=[-+.0-9])[-+]?_*(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9_]+)?$"
            r"|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
        ),
        list("-+.0123456789"),
    ),
    (_MERGE, re.compile(r"<<$"), ["<"]),
)
"""Tag, pattern, and first characters of the unquoted values that are not text. The first pattern that matches applies."""


class WrittenInt(int):
    """text: the number as the document writes it."""

    text: str


class WrittenFloat(float):
    """text: the number as the document writes it."""

    text: str


class KubectlLoader(yaml.CSafeLoader):
    """Resolves unquoted values as kubectl does."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - the name and type are PyYAML's


def _construct_bool(_: KubectlLoader, node: yaml.ScalarNode) -> bool:
    return re.fullmatch(_TRUE, node.value) is not None


def _construct_float(_: KubectlLoader, node: yaml.ScalarNode) -> WrittenFloat | str:
    text = node.value.replace("_", "").lower()
    try:
        number = WrittenFloat(text.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:  # such as 1e_
        return str(node.value)
    if math.isinf(number) and "inf" not in text:  # such as 1e1000
        return str(node.value)
    number.text = node.value
    return number


def _construct_int(loader: KubectlLoader, node: yaml.ScalarNode) -> WrittenInt | WrittenFloat | str:
    digits = node.value.replace("_", "")
    try:
        number = WrittenInt(digits, 8 if re.match(r"[-+]?0[0-7]", digits) else 0)
    except ValueError:  # such as 0x_
        return str(node.value)
    if abs(number) > _MAX_INT:
        return _construct_float(loader, node)
    number.text = node.value
    return number


class KubectlDumper(yaml.SafeDumper):
    """Quotes every text that kubectl or PyYAML would read as another type."""


for _tag, _pattern, _first in RESOLVERS:
    for _class in (KubectlLoader, KubectlDumper):
        _class.add_implicit_resolver(_tag, _pattern, _first)
KubectlLoader.add_constructor(_BOOL, _construct_bool)
KubectlLoader.add_constructor(_INT, _construct_int)
KubectlLoader.add_constructor(_FLOAT, _construct_float)


def dump_yaml(data: Any) -> str:
    """Returns a YAML document, with sorted keys."""
    return yaml.dump(data, Dumper=KubectlDumper, sort_keys=True)
