"""Versions of the driver and of the newest CUDA that it supports, each also under the older name that workloads still select by."""

from gfd.labelers.api import NVIDIA, Declared, LabelOptions
from node_core.domain.inventory import CudaVersion, Inventory
from node_core.domain.labels import Labels, sanitize, value_problem

DRIVER = f"{NVIDIA}/cuda.driver-version"
RUNTIME = f"{NVIDIA}/cuda.runtime-version"
OLD_DRIVER = f"{NVIDIA}/cuda.driver"
OLD_RUNTIME = f"{NVIDIA}/cuda.runtime"

_DRIVER = {"source": "nvmlSystemGetDriverVersion", "presence": "with a GPU, where NVML says it"}
_RUNTIME = {"source": "nvmlSystemGetCudaDriverVersion", "presence": "with a GPU, where NVML says it"}
_OLD = "the same, under its older name"
DECLARED = (
    Declared(key=f"{DRIVER}.full", value="the driver's version: `550.54.15`", **_DRIVER),
    Declared(key=f"{DRIVER}.major", value="its first part", **_DRIVER),
    Declared(key=f"{DRIVER}.minor", value="its second part", **_DRIVER),
    Declared(key=f"{DRIVER}.revision", value="its third part; empty if there are two", **_DRIVER),
    Declared(key=f"{OLD_DRIVER}.major", value=_OLD, **_DRIVER),
    Declared(key=f"{OLD_DRIVER}.minor", value=_OLD, **_DRIVER),
    Declared(key=f"{OLD_DRIVER}.rev", value=_OLD, **_DRIVER),
    Declared(key=f"{RUNTIME}.full", value="the newest CUDA that the driver supports: `12.4`", **_RUNTIME),
    Declared(key=f"{RUNTIME}.major", value="its first part", **_RUNTIME),
    Declared(key=f"{RUNTIME}.minor", value="its second part", **_RUNTIME),
    Declared(key=f"{OLD_RUNTIME}.major", value=_OLD, **_RUNTIME),
    Declared(key=f"{OLD_RUNTIME}.minor", value=_OLD, **_RUNTIME),
)


def labels(inventory: Inventory, _: LabelOptions) -> Labels:
    driver = inventory.driver
    if driver is None:
        return {}
    return driver_labels(driver.version) | runtime_labels(driver.cuda)


def driver_labels(version: str) -> dict[str, str]:
    """`550.54.15` in parts and in full. The revision of `550.54` is empty; of any other form, what is there is said."""
    if not version:
        return {}
    parts = dict(zip(("major", "minor", "revision"), version.split("."), strict=False))
    if len(parts) == 2:
        parts["revision"] = ""
    old = {"rev" if name == "revision" else name: value for name, value in parts.items()}
    found = {f"{DRIVER}.{name}": value for name, value in {**parts, "full": version}.items()}
    found |= {f"{OLD_DRIVER}.{name}": value for name, value in old.items()}
    return {key: _accepted(value) for key, value in found.items()}


def runtime_labels(cuda: CudaVersion | None) -> dict[str, str]:
    """Nothing where NVML does not say."""
    if cuda is None:
        return {}
    major, minor = str(cuda.major), str(cuda.minor)
    return {
        f"{RUNTIME}.major": major,
        f"{RUNTIME}.minor": minor,
        f"{RUNTIME}.full": f"{major}.{minor}",
        f"{OLD_RUNTIME}.major": major,
        f"{OLD_RUNTIME}.minor": minor,
    }


def _accepted(value: str) -> str:
    """As it is wherever Kubernetes takes it."""
    return value if value_problem(value) is None else sanitize(value)
