"""Labels of the driver version and the newest supported CUDA version. Each label also exists under its older name."""

from gfd.labelers.api import NVIDIA, LabelOptions
from gpu_core.domain.inventory import CudaVersion, Inventory
from node_core.domain.dotted_version import leading_numbers
from node_core.domain.label_declaration import LabelDeclaration
from node_core.domain.labels import Labels, sanitize, value_problem

DRIVER = f"{NVIDIA}/cuda.driver-version"
RUNTIME = f"{NVIDIA}/cuda.runtime-version"
OLD_DRIVER = f"{NVIDIA}/cuda.driver"
OLD_RUNTIME = f"{NVIDIA}/cuda.runtime"

_DRIVER = {"source": "nvmlSystemGetDriverVersion", "presence": "with a GPU, if NVML reports it"}
_RUNTIME = {"source": "nvmlSystemGetCudaDriverVersion", "presence": "with a GPU, if NVML reports it"}
_OLD = "the same value; the older name of the label"
DECLARED = (
    LabelDeclaration(key=f"{DRIVER}.full", value="the driver version: `550.54.15`", **_DRIVER),
    LabelDeclaration(key=f"{DRIVER}.major", value="the first part", **_DRIVER),
    LabelDeclaration(key=f"{DRIVER}.minor", value="the second part", **_DRIVER),
    LabelDeclaration(key=f"{DRIVER}.revision", value="the third part; empty if there are two parts", **_DRIVER),
    LabelDeclaration(key=f"{OLD_DRIVER}.major", value=_OLD, **_DRIVER),
    LabelDeclaration(key=f"{OLD_DRIVER}.minor", value=_OLD, **_DRIVER),
    LabelDeclaration(key=f"{OLD_DRIVER}.rev", value=_OLD, **_DRIVER),
    LabelDeclaration(key=f"{RUNTIME}.full", value="the newest CUDA that the driver supports: `12.4`", **_RUNTIME),
    LabelDeclaration(key=f"{RUNTIME}.major", value="the first part", **_RUNTIME),
    LabelDeclaration(key=f"{RUNTIME}.minor", value="the second part", **_RUNTIME),
    LabelDeclaration(key=f"{OLD_RUNTIME}.major", value=_OLD, **_RUNTIME),
    LabelDeclaration(key=f"{OLD_RUNTIME}.minor", value=_OLD, **_RUNTIME),
)


def labels(inventory: Inventory, _: LabelOptions) -> Labels:
    driver = inventory.driver
    if driver is None:
        return {}
    return driver_labels(driver.version) | runtime_labels(driver.cuda)


def driver_labels(version: str) -> dict[str, str]:
    """Returns the labels of `550.54.15` and its numbers. The revision of `550.54` is empty. Other forms may have fewer labels.

    A version without numbers, such as `unknown.unknown.unknown`, is split at its dots.
    """
    if not version:
        return {}
    numbers = leading_numbers(version)
    parts = dict(zip(("major", "minor", "revision"), numbers or version.split("."), strict=False))
    if len(parts) == 2:
        parts["revision"] = ""
    old = {"rev" if name == "revision" else name: value for name, value in parts.items()}
    result = {f"{DRIVER}.{name}": value for name, value in {**parts, "full": version}.items()}
    result |= {f"{OLD_DRIVER}.{name}": value for name, value in old.items()}
    return {key: _label_value(value) for key, value in result.items()}


def runtime_labels(cuda: CudaVersion | None) -> dict[str, str]:
    """Returns no labels if NVML does not report the version."""
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


def _label_value(value: str) -> str:
    """Sanitises a value that is not valid in a label."""
    return value if value_problem(value) is None else sanitize(value)
