"""Errors about single fields, with the texts of Kubernetes. PURE. Source: the published field errors of Kubernetes."""

from collections.abc import Iterator
from typing import Any

from node_core.domain.labels import key_problem, value_problem
from simulation.apiserver.status import Cause


def label_causes(field: str, key: str, value: str) -> Iterator[Cause]:
    if problem := key_problem(key):
        yield invalid_value(field, key, problem)
    if problem := value_problem(value):
        yield invalid_value(field, value, problem)


def invalid_value(field: str, value: Any, why: str) -> Cause:
    shown = f'"{value}"' if isinstance(value, str) else value
    return Cause(reason="FieldValueInvalid", message=f"Invalid value: {shown}: {why}", field=field)


def unsupported_value(field: str, value: str, allowed: tuple[str, ...]) -> Cause:
    choices = ", ".join(f'"{choice}"' for choice in allowed)
    return Cause(
        reason="FieldValueNotSupported",
        message=f'Unsupported value: "{value}": supported values: {choices}',
        field=field,
    )


def required(field: str, detail: str = "") -> Cause:
    return Cause(reason="FieldValueRequired", message="Required value" + (f": {detail}" if detail else ""), field=field)
