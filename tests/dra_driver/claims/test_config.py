"""Opaque configs: every field of NVIDIA's configs is known, and wrong ones are refused with their path."""

from typing import Any

import pytest

from dra_driver.claims.config import API_VERSION, check_kind, decode_config
from dra_driver.devices.model import DeviceKind
from node_core.errors import ClaimError


def config(kind: str = "GpuConfig", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, **fields}


def test_a_config_applies_only_to_devices_of_its_type() -> None:
    check_kind(decode_config(config()), DeviceKind.GPU, "gpu-0")
    check_kind(decode_config(config("MigDeviceConfig")), DeviceKind.MIG, "gpu-0-mig-1g10gb-19-0")
    with pytest.raises(ClaimError, match="does not apply to gpu-0, which has the type gpu"):
        check_kind(decode_config(config("MigDeviceConfig")), DeviceKind.GPU, "gpu-0")


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        (None, "is not a mapping"),
        ([], "is not a mapping"),
        ({}, "apiVersion None and kind None"),
        (config("VfioDeviceConfig"), "kind 'VfioDeviceConfig'"),
        (config([]), r"kind \[\]"),  # type: ignore[arg-type]
        ({**config(), "apiVersion": "resource.nvidia.com/v9"}, "v9"),
        (config(sharring={}), "sharring"),
        (config(sharing={"strategy": "Magic"}), "sharing.strategy"),
        (config(sharing={"strategy": "MPS", "mpsConfig": {"multiuser": True}}), "multiUser"),
        (config(sharing={"timeSlicingConfig": {"interval": 7}}), "interval"),
        (config("MigDeviceConfig", sharing={"strategy": "TimeSlicing", "timeSlicingConfig": {}}), "timeSlicingConfig"),
    ],
)
def test_a_wrong_config_is_refused_with_the_path_of_the_field(parameters: Any, problem: str) -> None:
    with pytest.raises(ClaimError, match=problem):
        decode_config(parameters)
