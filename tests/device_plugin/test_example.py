"""The example in docs/reference/config-file.md has the documented result."""

import re
from pathlib import Path

from device_plugin.__main__ import command
from device_plugin.plan.node import plan_devices
from device_plugin.plan.options import PlanOptions
from device_plugin.settings import plugin_settings
from gpu_core.domain.inventory import GpuUuid, Inventory
from node_core.domain.pci import PciAddress
from node_core.runtime.command import parse_command
from node_core.values import replace
from tests.device_plugin.conftest import make_gpu

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "config-file.md"


def test_the_example_config_is_advertised_as_documented(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    config = tmp_path / "config.yaml"
    config.write_text(example)
    values = parse_command(command, ["--config-file", str(config)], "gpu-device-plugin")
    assert values is not None
    settings = plugin_settings(values)
    assert settings.mig_strategy == "mixed"
    options = PlanOptions(mig_strategy="mixed", sharing=settings.sharing, rules=settings.rules, policy=settings.policy)
    gpus = (
        make_gpu(0),
        make_gpu(1),
        make_gpu(2),
        replace(make_gpu(3), uuid=GpuUuid("GPU-4f1a6d7e-93b2-4c58-8e0d-2ba71c9f5d63")),
        replace(make_gpu(4), model="NVIDIA A40"),
        replace(make_gpu(5), model="Tesla T4"),
        replace(make_gpu(6), address=PciAddress("0000:17:00.0")),
        make_gpu(7, ["1g.10gb", "1g.10gb+me", "3g.40gb"]),
    )
    plan = plan_devices(Inventory(driver=None, gpus=gpus), options)
    assert {name.removeprefix("nvidia.com/"): len(offer.devices) for name, offer in plan.resources.items()} == {
        "a40": 1, "gpu": 2, "gpu.slice": 8, "mig-3g.40gb": 1, "small": 2, "team-a": 8,
    }  # fmt: skip
    assert {each.device.index: each.why for each in plan.reserved} == {
        "5": "devices.exclude in the config file lists the device",
        "6": "the display of the operators",
    }
    assert plan.notes == ()
    shared = [offer for offer in plan.resources.values() if offer.sharing]
    assert len(shared) == 3
    assert all(offer.policy == "packed" and offer.fail_requests_greater_than_one for offer in shared)
