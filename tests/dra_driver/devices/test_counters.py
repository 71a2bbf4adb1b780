import itertools
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from dra_driver.devices.collect import devices_of
from dra_driver.devices.model import Device, DeviceKind
from gpu_core.mig.model import MigGpu
from tests.dra_driver.devices.gpus import gpu, inventory, mig_of
from tests.gpu_core.mig.boards import H100, PROFILES
from tests.gpu_core.mig.brute_force import is_possible

MODELS = sorted(PROFILES)


def dynamic(model: str = H100) -> tuple[MigGpu, tuple[Device, ...]]:
    mig = mig_of(gpu(), model)
    return mig, devices_of(inventory(gpu()), [mig], has_dynamic_mig=True)


def fits(devices: Sequence[Device]) -> bool:
    """What the scheduler decides: the sum of the consumed counters is at most the counter set."""
    (counter_set,) = {id(device.counter_set): device.counter_set for device in devices}.values()
    assert counter_set is not None
    used: Counter[str] = Counter()
    for device in devices:
        used.update(device.counters)
    return all(amount <= counter_set.counters[name] for name, amount in used.items())


def possible_on_hardware(mig: MigGpu, devices: Sequence[Device]) -> bool:
    items = [(device.profile, device.placement) for device in devices if device.profile and device.placement]
    return is_possible(mig, items)


@pytest.mark.parametrize("model", MODELS)
def test_two_mig_devices_fit_by_counters_if_and_only_if_nvml_allows_both(model: str) -> None:
    mig, devices = dynamic(model)
    abstract = [device for device in devices if device.kind is DeviceKind.MIG]
    assert len(abstract) > 3
    for pair in itertools.combinations(abstract, 2):
        assert fits(pair) == possible_on_hardware(mig, pair), [device.name for device in pair]


@pytest.mark.parametrize("model", MODELS)
def test_a_set_of_mig_devices_fits_by_counters_if_and_only_if_nvml_allows_the_set(model: str) -> None:
    mig, devices = dynamic(model)
    abstract = [device for device in devices if device.kind is DeviceKind.MIG]
    rng = random.Random(1)
    for _ in range(300):
        chosen: list[Device] = []
        for device in rng.sample(abstract, len(abstract)):
            larger = [*chosen, device]
            assert fits(larger) == possible_on_hardware(mig, larger), [each.name for each in larger]
            chosen = larger if fits(larger) else chosen


@pytest.mark.parametrize("model", MODELS)
def test_a_full_gpu_consumes_everything(model: str) -> None:
    _, (full, *others) = dynamic(model)
    assert full.kind is DeviceKind.GPU
    assert fits([full])
    assert full.counter_set is not None
    assert full.counters == full.counter_set.counters
    assert not any(fits([full, other]) for other in others)


def test_counters_have_the_names_of_nvidia() -> None:
    _, devices = dynamic()
    (small,) = (device for device in devices if device.name == "gpu-0-mig-1g10gb-100-6")
    assert small.counter_set is not None
    assert small.counter_set.name == "gpu-0-counter-set"
    assert small.counters == {
        "memory": 1000 << 20,
        "compute-slices": 1,
        "decoders": 1,
        "jpeg-engines": 1,
        "memory-slice-6": 1,
    }
    assert [name for name in small.counter_set.counters if name.startswith("memory-slice-")] == [
        f"memory-slice-{number}" for number in range(8)
    ]
    assert len(small.counter_set.counters) <= 32
