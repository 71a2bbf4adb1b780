"""The labels of a resource with and without sharing."""

from collections.abc import Callable

import pytest

from gfd.labelers import LabelOptions, MigStrategy, labels
from gpu_core.domain.device_rules import DeviceRules
from gpu_core.domain.inventory import (
    ComputeCapability,
    CudaVersion,
    Driver,
    Gpu,
    GpuUuid,
    Inventory,
    MigAttributes,
    MigDevice,
    MigUuid,
)
from gpu_core.domain.mig import MIB
from gpu_core.domain.resources import NamePattern, ResourceName, ResourceNames, resource_name
from gpu_core.domain.sharing import SharedResource, Sharing, SharingStrategy
from node_core.values import replace

GPU = resource_name("gpu")
MODEL = "MOCKMODEL"
ATTRIBUTES = MigAttributes(
    memory_mib=100,
    multiprocessors=1,
    gpu_instance_slices=1,
    compute_instance_slices=1,
    copy_engines=0,
    decoders=0,
    encoders=0,
    jpeg_engines=0,
    ofa_engines=0,
)


def gpu(*profiles: str, mig: bool = False) -> Gpu:
    return Gpu(
        index=0,
        uuid=GpuUuid("GPU-0"),
        minor=0,
        model=MODEL,
        memory_bytes=300 * MIB,
        compute=ComputeCapability(major=8, minor=0),
        address=None,
        mig_capable=mig or bool(profiles),
        mig_enabled=mig or bool(profiles),
        mig_devices=tuple(
            MigDevice(
                uuid=MigUuid(f"MIG-{slot}"),
                slot=slot,
                gpu_instance=slot,
                compute_instance=0,
                profile=profile,
                attributes=ATTRIBUTES,
            )
            for slot, profile in enumerate(profiles)
        ),
    )


def share(
    *names: ResourceName,
    by: SharingStrategy = SharingStrategy.TIME_SLICING,
    as_: Callable[[ResourceName], ResourceName] = lambda name: name,
) -> Sharing:
    return Sharing(
        strategy=by,
        resources=tuple(SharedResource(resource=name, replicas=2, advertised=as_(name)) for name in names),
        fail_requests_greater_than_one=False,
    )


def of(
    *gpus: Gpu,
    sharing: Sharing | None,
    strategy: MigStrategy = "none",
    names: ResourceNames = ResourceNames(),  # noqa: B008 - frozen
    cuda: CudaVersion | None = None,
) -> dict[str, str]:
    inventory = Inventory(driver=Driver(version="400.300", cuda=cuda), gpus=gpus)
    found = labels(
        inventory, LabelOptions(machine="m", mig_strategy=strategy, sharing=sharing, rules=DeviceRules(names=names))
    )
    return {key.removeprefix("nvidia.com/"): value for key, value in found.items()}


def resource_values(found: dict[str, str], resource: str = "gpu") -> tuple[str, ...]:
    return tuple(found[f"{resource}.{name}"] for name in ("product", "count", "replicas", "sharing-strategy"))


TIME = share(GPU)
MPS = share(GPU, by=SharingStrategy.MPS)


def test_the_reference_gpu_without_sharing() -> None:
    found = of(gpu(), sharing=None)
    assert resource_values(found) == (MODEL, "1", "1", "none")
    assert (found["gpu.family"], found["gpu.compute.major"], found["gpu.compute.minor"]) == ("ampere", "8", "0")
    assert (found["gpu.memory"], found["cuda.driver.rev"], found["mps.capable"]) == ("300", "", "false")


@pytest.mark.parametrize(("sharing", "word"), [(TIME, "time-slicing"), (MPS, "mps")], ids=["time-slicing", "mps"])
def test_a_shared_gpu_has_replicas_and_a_strategy_and_is_counted_once(sharing: Sharing, word: str) -> None:
    found = of(gpu(), sharing=sharing)
    assert resource_values(found) == (f"{MODEL}-SHARED", "1", "2", word)
    assert found["mps.capable"] == ("true" if word == "mps" else "false")


@pytest.mark.parametrize("name", ["gpu.shared", "slice-of-a-gpu"], ids=["by default", "by hand"])
def test_a_renamed_resource_has_the_same_product_and_keys(name: str) -> None:
    found = of(gpu(), sharing=share(GPU, as_=lambda _: resource_name(name)))
    assert resource_values(found) == (MODEL, "1", "2", "time-slicing")
    assert not [key for key in found if name in key]


def test_sharing_of_another_resource_has_no_effect() -> None:
    assert of(gpu(), sharing=share(resource_name("mig-1g.100gb"))) == of(gpu(), sharing=None)


def named(pattern: str, name: str) -> tuple[NamePattern, ...]:
    return (NamePattern(pattern=pattern, resource=resource_name(name)),)


def test_sharing_applies_to_the_resource_name_of_a_model_pattern() -> None:
    names = ResourceNames(gpus=named("MOCK*", "big"))
    assert resource_values(of(gpu(), sharing=share(resource_name("big")), names=names)) == (
        f"{MODEL}-SHARED",
        "1",
        "2",
        "time-slicing",
    )
    assert of(gpu(), sharing=TIME, names=names) == of(gpu(), sharing=None)
    others = ResourceNames(gpus=named("A100*", "big"))
    assert of(gpu(), sharing=TIME, names=others) == of(gpu(), sharing=TIME)


@pytest.mark.parametrize(("strategy", "key"), [("single", "gpu"), ("mixed", "mig-1g.100gb")])
def test_sharing_applies_to_the_resource_name_of_a_profile_pattern(strategy: MigStrategy, key: str) -> None:
    names = ResourceNames(mig=named("1g*", "small"))
    found = of(gpu("1g.100gb"), sharing=share(resource_name("small")), strategy=strategy, names=names)
    assert resource_values(found, key) == (f"{MODEL}-MIG-1g.100gb-SHARED", "1", "2", "time-slicing")
    usual = of(gpu("1g.100gb"), sharing=share(resource_name(key)), strategy=strategy, names=names)
    assert resource_values(usual, key)[2:] == ("1", "none")


@pytest.mark.parametrize("strategy", ["none", "mixed"])
def test_gpus_in_mig_mode_have_replicas_only_with_other_gpus(strategy: MigStrategy) -> None:
    assert resource_values(of(gpu(mig=True), sharing=TIME, strategy=strategy)) == (MODEL, "1", "0", "none")
    assert resource_values(of(gpu(mig=True), gpu(), sharing=TIME, strategy=strategy)) == (
        f"{MODEL}-SHARED",
        "2",
        "2",
        "time-slicing",
    )


def test_single_shares_mig_devices_as_gpus() -> None:
    two = (gpu("1g.100gb"), gpu("1g.100gb"))
    assert resource_values(of(*two, sharing=None, strategy="single")) == (f"{MODEL}-MIG-1g.100gb", "2", "1", "none")
    shared = of(*two, sharing=TIME, strategy="single")
    assert resource_values(shared) == (f"{MODEL}-MIG-1g.100gb-SHARED", "2", "2", "time-slicing")


@pytest.mark.parametrize(
    "gpus",
    [(gpu(mig=True),), (gpu("1g.100gb"), gpu()), (gpu("1g.100gb", "2g.100gb"),)],
    ids=["empty", "beside a whole GPU", "two profiles"],
)
def test_an_invalid_layout_is_never_shared(gpus: tuple[Gpu, ...]) -> None:
    assert resource_values(of(*gpus, sharing=TIME, strategy="single")) == (f"{MODEL}-MIG-INVALID", "0", "0", "")


def test_mixed_shares_each_profile_by_its_name() -> None:
    found = of(gpu("1g.100gb", "2g.100gb"), sharing=share(resource_name("mig-1g.100gb")), strategy="mixed")
    assert resource_values(found, "mig-1g.100gb") == (f"{MODEL}-MIG-1g.100gb-SHARED", "1", "2", "time-slicing")
    assert resource_values(found, "mig-2g.100gb") == (f"{MODEL}-MIG-2g.100gb", "1", "1", "none")


@pytest.mark.parametrize("strategy", ["none", "single", "mixed"])
def test_mps_with_a_gpu_in_mig_mode_shares_nothing(strategy: MigStrategy) -> None:
    gpus = (gpu("1g.100gb"), gpu())
    found = of(*gpus, sharing=MPS, strategy=strategy)
    assert found == of(*gpus, sharing=None, strategy=strategy)
    assert found["mps.capable"] == "false"


@pytest.mark.parametrize(
    ("compute", "cuda", "replicas"),
    [((9, 0), (13, 0), "48"), ((9, 0), (13, 1), "60"), ((6, 0), (12, 0), "16"), (None, (13, 1), "16")],
)
def test_the_replicas_are_limited_to_what_mps_supports(
    compute: tuple[int, int] | None, cuda: tuple[int, int], replicas: str
) -> None:
    capability = None if compute is None else ComputeCapability(major=compute[0], minor=compute[1])
    many = Sharing(
        strategy=SharingStrategy.MPS,
        resources=(SharedResource(resource=resource_name("gpu"), replicas=100, advertised=resource_name("gpu")),),
        fail_requests_greater_than_one=True,
    )
    found = of(replace(gpu(), compute=capability), sharing=many, cuda=CudaVersion(major=cuda[0], minor=cuda[1]))
    assert resource_values(found)[2] == replicas
