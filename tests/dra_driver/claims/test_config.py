"""Opaque configs: every field of NVIDIA's configs is known, and what cannot be set up is refused with its name."""

from typing import Any

import pytest

from dra_driver.claims.config import API_VERSION, check_config, decode_config
from dra_driver.devices.model import DeviceKind
from node_core.errors import ClaimError


def config(kind: str = "GpuConfig", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, **fields}


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        (config(), DeviceKind.GPU),
        (config("MigDeviceConfig"), DeviceKind.MIG),
        (config(sharing={"strategy": "TimeSlicing"}), DeviceKind.GPU),
        (config(sharing={"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": "Default"}}), DeviceKind.GPU),
        (config("MigDeviceConfig", sharing={"strategy": "TimeSlicing"}), DeviceKind.MIG),
    ],
)
def test_configs_that_change_nothing_are_accepted(parameters: Any, kind: DeviceKind) -> None:
    check_config(decode_config(parameters), kind, "gpu-0")


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        (config(sharing={"strategy": "TimeSlicing", "timeSlicingConfig": {"interval": "Long"}}), "time slice Long"),
        (config(sharing={"strategy": "MPS", "mpsConfig": {"defaultActiveThreadPercentage": 50}}), "asks for MPS"),
        (config(sharing={"strategy": "TimeSlicing", "mpsConfig": {}}), "mpsConfig without the strategy MPS"),
        (config("MigDeviceConfig"), "does not apply to gpu-0, which has the type gpu"),
    ],
)
def test_configs_that_cannot_be_set_up_are_refused(parameters: Any, problem: str) -> None:
    with pytest.raises(ClaimError, match=problem):
        check_config(decode_config(parameters), DeviceKind.GPU, "gpu-0")


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
