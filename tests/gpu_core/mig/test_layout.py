"""The present layout as a config."""

from gpu_core.mig.config import ConfigEntry
from gpu_core.mig.layout import count_devices, export_config
from gpu_core.mig.planner import plan_gpu
from gpu_core.mig.select import select_layouts
from tests.gpu_core.mig.boards import H100, instance, mig_gpu

MIXED = (instance(1, "3g.40gb", 4, "1c.3g.40gb", "1c.3g.40gb"), instance(2, "1g.10gb", 0), instance(3, "1g.10gb", 1))


def test_devices_are_counted_by_name() -> None:
    assert count_devices(mig_gpu(H100, *MIXED)) == {"1g.10gb": 2, "1c.3g.40gb": 2}


def test_gpus_with_equal_layouts_share_an_entry() -> None:
    gpus = [mig_gpu(H100), mig_gpu(H100, *MIXED, index=1), mig_gpu(H100, index=2), mig_gpu(enabled=False, index=3)]
    assert export_config(gpus) == {
        "current": (
            ConfigEntry(devices=(0, 2), is_enabled=True),
            ConfigEntry(devices=(1,), is_enabled=True, mig_devices={"1g.10gb": 2, "1c.3g.40gb": 2}),
            ConfigEntry(devices=(3,), is_enabled=False),
        )
    }


def test_one_layout_is_an_entry_for_all_gpus() -> None:
    assert export_config([mig_gpu(), mig_gpu(index=1)]) == {"current": (ConfigEntry(is_enabled=True),)}


def test_an_exported_config_requires_no_change() -> None:
    gpus = [mig_gpu(H100, *MIXED), mig_gpu(index=1, enabled=False)]
    desired = select_layouts(export_config(gpus), "current", gpus)
    assert all(plan_gpu(gpu, desired[gpu.uuid]).is_empty for gpu in gpus)
