"""The names in the protocol, compared with pynvml."""

import pynvml

from gpu_core.nvml.api import FUNCTIONS, EventType


def test_every_function_name_exists_in_pynvml() -> None:
    assert [name for name in FUNCTIONS.values() if not callable(getattr(pynvml, name, None))] == []


def test_the_event_types_match_pynvml() -> None:
    names = {
        "SINGLE_BIT_ECC": "nvmlEventTypeSingleBitEccError",
        "DOUBLE_BIT_ECC": "nvmlEventTypeDoubleBitEccError",
        "XID": "nvmlEventTypeXidCriticalError",
        "MIG_CONFIG": "nvmlEventMigConfigChange",
        "GPU_UNAVAILABLE": "nvmlEventTypeGpuUnavailableError",
        "RECOVERY_ACTION": "nvmlEventTypeGpuRecoveryAction",
    }
    assert {each.name: int(each) for each in EventType} == {name: getattr(pynvml, its) for name, its in names.items()}
