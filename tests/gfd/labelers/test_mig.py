"""The labels of MIG devices: valid and invalid layouts for each strategy."""

from typing import Literal

import pytest

from gfd.labelers import LabelOptions, labels
from gpu_core.domain.inventory import (
    ComputeCapability,
    Gpu,
    GpuUuid,
    Inventory,
    MigAttributes,
    MigDevice,
    MigFault,
    MigUuid,
)
from node_core.values import replace

A100 = "NVIDIA A100-SXM4-40GB"
H100 = "NVIDIA H100 80GB HBM3"
Strategy = Literal["none", "single", "mixed"]


def device(slot: int, profile: str | None) -> MigDevice:
    attributes = MigAttributes(
        memory_mib=4864,
        multiprocessors=14,
        gpu_instance_slices=1,
        compute_instance_slices=1,
        copy_engines=1,
        decoders=2,
        encoders=3,
        jpeg_engines=4,
        ofa_engines=5,
    )
    return MigDevice(
        uuid=MigUuid(f"MIG-{slot}"),
        slot=slot,
        gpu_instance=slot,
        compute_instance=0,
        profile=profile,
        attributes=attributes,
    )


def gpu(model: str, *profiles: str | None, enabled: bool = True, faults: tuple[MigFault, ...] = ()) -> Gpu:
    return Gpu(
        index=0,
        uuid=GpuUuid("GPU-0"),
        minor=0,
        model=model,
        memory_bytes=40960 << 20,
        compute=ComputeCapability(major=8, minor=0),
        address=None,
        mig_capable=True,
        mig_enabled=enabled,
        mig_devices=tuple(device(slot, profile) for slot, profile in enumerate(profiles)),
        mig_faults=faults,
    )


def without_mig(model: str = A100) -> Gpu:
    return gpu(model, enabled=False)


def of(strategy: Strategy, *gpus: Gpu) -> dict[str, str]:
    found = labels(Inventory(driver=None, gpus=gpus), LabelOptions(mig_strategy=strategy, machine="x"))
    return {key.removeprefix("nvidia.com/"): value for key, value in found.items()}


def picked(found: dict[str, str]) -> tuple[str, str, str, str]:
    return found["gpu.product"], found["gpu.count"], found["gpu.replicas"], found["gpu.memory"]


INVALID_OFFER = ("NVIDIA-A100-SXM4-40GB-MIG-INVALID", "0", "0", "0")
WHOLE = "NVIDIA-A100-SXM4-40GB"


def test_strategy_none_has_no_strategy_label() -> None:
    assert "mig.strategy" not in of("none", gpu(A100, "1g.5gb"))
    assert of("single", without_mig())["mig.strategy"] == "single"
    assert of("mixed", without_mig())["mig.strategy"] == "mixed"


@pytest.mark.parametrize("strategy", ["none", "mixed"])
def test_gpus_in_mig_mode_are_counted_but_have_no_replicas(strategy: Strategy) -> None:
    assert picked(of(strategy, gpu(A100, "1g.5gb"), gpu(A100, "1g.5gb"))) == (WHOLE, "2", "0", "40960")
    assert picked(of(strategy, gpu(A100, "1g.5gb"), without_mig())) == (WHOLE, "2", "1", "40960")


def test_strategy_none_ignores_mig_devices() -> None:
    assert not [key for key in of("none", gpu(A100, "1g.5gb")) if key.startswith("mig-")]


def test_single_without_mig_adds_only_the_strategy_label() -> None:
    assert of("single", without_mig(), without_mig()) == {
        **of("none", without_mig(), without_mig()),
        "mig.strategy": "single",
    }


def test_single_with_one_profile_labels_mig_devices_as_gpus() -> None:
    found = of("single", gpu(A100, "1g.5gb", "1g.5gb"), gpu(A100, "1g.5gb"))
    assert picked(found) == ("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", "3", "1", "4864")
    assert {
        key: value for key, value in found.items() if key.startswith(("gpu.engines", "gpu.slices", "gpu.multi"))
    } == {
        "gpu.multiprocessors": "14",
        "gpu.slices.gi": "1",
        "gpu.slices.ci": "1",
        "gpu.engines.copy": "1",
        "gpu.engines.decoder": "2",
        "gpu.engines.encoder": "3",
        "gpu.engines.jpeg": "4",
        "gpu.engines.ofa": "5",
    }
    assert (found["gpu.family"], found["gpu.sharing-strategy"]) == ("ampere", "none")


@pytest.mark.parametrize(
    "gpus",
    [
        (gpu(A100, "1g.5gb"), gpu(A100)),
        (gpu(A100),),
        (gpu(A100, "1g.5gb"), without_mig()),
        (gpu(A100, "1g.5gb", "2g.10gb"),),
        (gpu(A100, "1g.5gb"), gpu(A100, "2g.10gb")),
        (gpu(A100, "1g.5gb", None),),
        (gpu(A100, None),),
    ],
    ids=[
        "one empty",
        "all empty",
        "one whole",
        "two profiles",
        "two profiles apart",
        "one without name",
        "no name at all",
    ],
)
def test_single_with_any_other_layout_is_invalid(gpus: tuple[Gpu, ...]) -> None:
    found = of("single", *gpus)
    assert picked(found) == INVALID_OFFER
    assert found["gpu.sharing-strategy"] == ""
    assert (found["gpu.family"], found["mig.capable"], found["mig.strategy"]) == ("ampere", "true", "single")
    assert not [key for key in found if key.startswith(("gpu.engines", "gpu.slices", "gpu.multi", "mig-"))]


def test_a_gpu_with_unreadable_mig_devices_is_not_empty() -> None:
    broken = gpu(A100, faults=(MigFault(slot=0, reason="nvmlDeviceGetAttributes returned UNKNOWN"),))
    assert picked(of("single", gpu(A100, "1g.5gb"), broken))[:2] == ("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", "1")


def test_with_mixed_each_profile_is_a_resource() -> None:
    found = of("mixed", gpu(A100, "1g.5gb", "2g.10gb", "1g.5gb+me"), gpu(A100, "1g.5gb"), without_mig(), gpu(A100))
    counts = {key: value for key, value in found.items() if key.startswith("mig-") and key.endswith(".count")}
    assert counts == {"mig-1g.5gb.count": "2", "mig-2g.10gb.count": "1", "mig-1g.5gb.me.count": "1"}
    assert found["mig-1g.5gb.me.product"] == "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb.me"
    assert (found["mig-1g.5gb.replicas"], found["mig-1g.5gb.sharing-strategy"]) == ("1", "none")
    assert found["mig-1g.5gb.memory"] == "4864"
    assert picked(found) == (WHOLE, "4", "1", "40960")


@pytest.mark.parametrize("strategy", ["single", "mixed"])
def test_mig_devices_of_a_gpu_without_its_own_memory_have_no_memory_label(strategy: Strategy) -> None:
    thor = gpu("NVIDIA Thor", "1g.0gb+me")
    devices = tuple(replace(each, attributes=replace(each.attributes, memory_mib=0)) for each in thor.mig_devices)
    found = of(strategy, replace(thor, memory_bytes=None, mig_devices=devices))
    resource = "gpu" if strategy == "single" else "mig-1g.0gb.me"
    assert found[f"{resource}.product"] == "NVIDIA-Thor-MIG-1g.0gb.me"
    assert not [key for key in found if key.endswith(".memory")]


def test_mixed_without_mig_devices_adds_only_the_strategy_label() -> None:
    for gpus in ((without_mig(),), (gpu(A100),), (gpu(A100, None),)):
        assert of("mixed", *gpus) == {**of("none", *gpus), "mig.strategy": "mixed"}


def test_a_profile_on_two_models_is_described_by_the_most_common_model() -> None:
    found = of("mixed", gpu(A100, "1g.10gb"), gpu(H100, "1g.10gb", "1g.10gb"))
    assert found["mig-1g.10gb.product"] == "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb"
    assert found["mig-1g.10gb.count"] == "3"


def test_a_long_model_is_cut_before_the_profile() -> None:
    product = of("single", gpu("NVIDIA " + "X" * 80, "1g.5gb"))["gpu.product"]
    assert product.endswith("X-MIG-1g.5gb")
    assert len(product) == 63
