"""The spec of an NVIDIADriver is decoded completely, or its problems are named."""

from typing import Any

import pytest

from gpu_operator.spec import UNSUPPORTED, decode_spec


def test_a_version_is_enough() -> None:
    decoded = decode_spec({"version": "580.95.05"})
    assert decoded.spec is not None
    assert (decoded.spec.repository, decoded.spec.image) == ("nvcr.io/nvidia", "driver")
    assert (decoded.problems, decoded.ignored) == ((), ())


def test_unknown_fields_are_named_with_their_path_and_a_similar_field() -> None:
    decoded = decode_spec(
        {"version": "580", "usePrecompild": True, "env": [{"name": "A", "valu": "1"}], "upgradePolicy": {"drian": {}}}
    )
    assert decoded.spec is not None, "an unknown field does not stop the others"
    assert decoded.ignored == (
        "spec.usePrecompild: unknown field (did you mean usePrecompiled?)",
        "spec.env[0].valu: unknown field (did you mean value?)",
        "spec.upgradePolicy.drian: unknown field (did you mean drain?)",
    )


@pytest.mark.parametrize("field", sorted(UNSUPPORTED))
def test_a_field_that_is_not_supported_is_named_unless_it_is_switched_off(field: str) -> None:
    (ignored,) = decode_spec({"version": "580", field: {"enabled": True}}).ignored
    assert ignored == f"spec.{field}: {UNSUPPORTED[field]}"
    assert decode_spec({"version": "580", field: {"enabled": False, "image": "x"}}).ignored == ()
    assert decode_spec({"version": "580", field: None}).ignored == ()


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (None, "spec: is missing"),
        ("text", "spec: is missing"),
        ({}, "spec.version: is missing"),
        ({"version": None}, "spec.version: is missing"),
        ({"version": ""}, "spec.version: must be a version or a digest, found an empty text"),
        ({"version": "580 1"}, "spec.version: must be a version or a digest, found the text '580 1'"),
        ({"version": "580", "driverType": "vgpu"}, "spec.driverType: vgpu is not supported. Use gpu"),
        ({"version": "580", "nodeSelector": []}, "spec.nodeSelector: must be a mapping, found a list"),
        ({"version": "580", "kernelModuleType": "opne"}, "spec.kernelModuleType: must be auto, open or proprietary"),
        ({"version": "580", "upgradePolicy": {"maxUnavailable": "130%"}}, "spec.upgradePolicy.maxUnavailable: must be a number, or"),
        ({"version": "580", "upgradePolicy": {"maxUnavailable": -1}}, "spec.upgradePolicy.maxUnavailable: must be"),
    ],
)  # fmt: skip
def test_a_wrong_value_makes_the_spec_unusable_and_is_named(spec: Any, problem: str) -> None:
    decoded = decode_spec(spec)
    assert decoded.spec is None
    assert [each for each in decoded.problems if each.startswith(problem)], decoded.problems


def test_the_deprecated_field_selects_the_open_modules() -> None:
    decoded = decode_spec({"version": "580", "useOpenKernelModules": True})
    assert decoded.spec is not None
    assert decoded.spec.module_type == "open"


def test_a_digest_is_a_version() -> None:
    assert decode_spec({"version": f"sha256:{'0' * 64}"}).spec is not None


def test_a_variable_that_gpu_operator_sets_is_named() -> None:
    decoded = decode_spec({"version": "1", "env": [{"name": "A"}, {"name": "NODE_NAME", "value": "x"}]})
    assert decoded.spec is not None
    assert decoded.ignored == ("spec.env[1]: gpu-operator sets NODE_NAME",)
