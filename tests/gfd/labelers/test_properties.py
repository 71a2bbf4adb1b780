"""Properties of labels for generated inventories."""

from hypothesis import given
from hypothesis import strategies as st

from gfd.labelers import LabelOptions, labels
from gpu_core.domain.inventory import (
    ComputeCapability,
    CudaVersion,
    Driver,
    Fabric,
    Gpu,
    GpuUuid,
    Inventory,
    MigAttributes,
    MigDevice,
    MigUuid,
)
from gpu_core.domain.mig import COMPUTE_INSTANCE_SLICES, GPU_INSTANCE_SLICES, MIB, profile_name
from node_core.domain.labels import split_valid
from node_core.values import replace

NUMBERS = st.integers(0, 1 << 16)
MEMORY = st.integers(1, 1 << 42)
PROFILES = st.builds(
    profile_name,
    st.sampled_from([*GPU_INSTANCE_SLICES, 17]),
    st.sampled_from([*COMPUTE_INSTANCE_SLICES]),
    NUMBERS,
    MEMORY,
)
ATTRIBUTES = st.builds(
    MigAttributes,
    memory_mib=NUMBERS,
    multiprocessors=NUMBERS,
    gpu_instance_slices=NUMBERS,
    compute_instance_slices=NUMBERS,
    copy_engines=NUMBERS,
    decoders=NUMBERS,
    encoders=NUMBERS,
    jpeg_engines=NUMBERS,
    ofa_engines=NUMBERS,
)
DEVICES = st.builds(
    MigDevice,
    uuid=st.just(MigUuid("MIG-0")),
    slot=st.integers(0, 6),
    gpu_instance=NUMBERS,
    compute_instance=NUMBERS,
    profile=PROFILES,
    attributes=ATTRIBUTES,
)
MODELS = st.sampled_from(["Tesla T4", "NVIDIA A100-SXM4-80GB", "NVIDIA H100 80GB HBM3"]) | st.text(max_size=90)
FABRICS = st.builds(Fabric, cluster_uuid=st.uuids().map(str), clique=st.integers(0, (1 << 32) - 1))
GPUS = st.builds(
    Gpu,
    index=st.just(0),
    uuid=st.just(GpuUuid("GPU-0")),
    minor=st.none() | NUMBERS,
    model=MODELS,
    memory_bytes=st.none() | MEMORY,
    compute=st.none() | st.builds(ComputeCapability, major=st.integers(0, 15), minor=st.integers(0, 9)),
    address=st.none(),
    mig_capable=st.booleans(),
    mig_enabled=st.booleans(),
    mig_devices=st.lists(DEVICES, max_size=4).map(tuple),
    fabric=st.none() | FABRICS,
)
DRIVERS = st.builds(
    Driver,
    version=st.from_regex(r"\A\d{1,4}(\.\d{1,3}){0,4}\Z") | st.text(max_size=90),
    cuda=st.none() | st.builds(CudaVersion, major=NUMBERS, minor=NUMBERS),
)
OPTIONS = st.builds(
    LabelOptions,
    mig_strategy=st.sampled_from(["none", "single", "mixed"]),
    machine=st.text(max_size=90),
    timestamp=st.none() | st.integers(0, 1 << 40),
)
INVENTORIES = st.builds(
    lambda driver, gpus: Inventory(driver=driver, gpus=gpus),  # hypothesis cannot resolve all annotations of the class
    st.none() | DRIVERS,
    st.lists(GPUS, max_size=5).map(tuple),
)


@given(INVENTORIES, OPTIONS)
def test_every_label_is_valid_in_kubernetes(inventory: Inventory, options: LabelOptions) -> None:
    found = labels(inventory, options)
    assert split_valid(found) == (found, ())


@given(INVENTORIES, OPTIONS)
def test_labelling_is_deterministic(inventory: Inventory, options: LabelOptions) -> None:
    assert list(labels(inventory, options).items()) == list(labels(inventory, options).items())


@given(st.data(), st.lists(GPUS.map(lambda gpu: replace(gpu, mig_devices=())), min_size=1, max_size=6), OPTIONS)
def test_the_order_of_gpus_without_mig_does_not_matter(
    data: st.DataObject, gpus: list[Gpu], options: LabelOptions
) -> None:
    shuffled = data.draw(st.permutations(gpus))
    first, second = (Inventory(driver=None, gpus=tuple(order)) for order in (gpus, shuffled))
    assert labels(first, options) == labels(second, options)


@given(st.data(), GPUS, st.integers(1, 6), OPTIONS)
def test_the_order_of_equal_gpus_does_not_matter(
    data: st.DataObject, gpu: Gpu, many: int, options: LabelOptions
) -> None:
    gpus = [replace(gpu, index=index, uuid=GpuUuid(f"GPU-{index}")) for index in range(many)]
    first, second = (Inventory(driver=None, gpus=tuple(order)) for order in (gpus, data.draw(st.permutations(gpus))))
    assert labels(first, options) == labels(second, options)


@given(GPUS, st.integers(1, 8))
def test_equal_gpus_are_all_counted_and_have_the_memory_of_one(gpu: Gpu, many: int) -> None:
    found = labels(Inventory(driver=None, gpus=(gpu,) * many), LabelOptions(machine="x"))
    assert found["nvidia.com/gpu.count"] == str(many)
    assert found.get("nvidia.com/gpu.memory") == (str(gpu.memory_bytes // MIB) if gpu.memory_bytes else None)
