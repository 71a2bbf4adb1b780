"""Renders docs/reference/gpu-metrics.md from the declarations of the exporter. NVML's names of fields and metrics are those of pynvml."""

from collections.abc import Iterable, Iterator

import pynvml

from gpu_core.nvml.api import FUNCTIONS
from gpu_exporter.families import Family
from gpu_exporter.fields import FIELDS, Field
from gpu_exporter.sources import FieldSum, Gpm, LinkSum, Query, Source

HEAD = """# Metrics of GPUs

`gpu-exporter` serves these metrics at `/metrics` on port 9400. Names, units and labels are those of NVIDIA's dcgm-exporter, so its
dashboards and alerts work. The values come from NVML alone. **A value that NVML does not give for a GPU is absent; it is never 0.**

- "default": exported without a file of counters (`--collectors`). The file selects any of the fields below by name.
- "boards": the boards whose NVML gives the value.
- In MIG mode, fields marked with * have a series for each GPU instance (`GPU_I_PROFILE`, `GPU_I_ID`) in place of one for the GPU. All other
  fields have one series for the GPU: dcgm-exporter repeats them for each GPU instance, so that sums count them several times.
- Counters are since the driver was loaded, or in the life of the board, as stated.

"""
NOTES = """
- `DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL` is a counter, as its type says: `rate()` gives MB/s. dcgm-exporter gives a rate in MB/s with the type
  of a counter.
- GPM gives the mean between two readings, which are `--collect-interval` apart.
- In OpenMetrics the name of a counter must end with `_total`. There, counters without it have the type `unknown`, so that each name is
  the same in both formats.

## Xids and the driver

The file of counters can select these too. The driver version is a label of all series of a GPU.

"""
XID_NOTES = """
- Xids are those that NVML reports since the agent started. [xids.md](xids.md) lists the classes. `DCGM_EXP_XID_ERRORS_COUNT` counts within
  `--xid-count-window-size`; alert if it is not 0. `gpunode_gpu_xids_total` never falls. Its series of a code begins with the first Xid,
  which `increase()` does not count. The device plugin has its own counter, `gpunode_xids_total`.
- dcgm-exporter keeps `DCGM_FI_DEV_XID_ERRORS` at the last Xid until it restarts. Here the gauge returns to 0: for a GPU that needs a reset
  or that is lost, when it works again ([health.md](health.md)); for another GPU, after the window. It is absent while NVML reports no
  Xids.

## Series of this project

These series are always exported. They have no labels of pods, so a counter does not change its labels when a pod ends, for example because
of an Xid. Join them with `gpunode_pod_gpu_info`.

"""
POD_HEAD = """
## Pods

"""
_FIELD_NAMES = {
    number: name for name, number in reversed(vars(pynvml).items()) if name.startswith(("NVML_FI_DEV_", "NVML_FI_PWR_"))
}
_METRIC_NAMES = {number: name for name, number in vars(pynvml).items() if name.startswith("NVML_GPM_METRIC_")}


FIELD_COLUMNS = ("metric", "DCGM id", "type", "unit", "meaning", "NVML", "boards", "default")
FAMILY_COLUMNS = ("metric", "type", "labels besides those of the device", "meaning")


def field_rows() -> Iterator[tuple[str, ...]]:
    return map(_row, FIELDS)


def family_rows(listed: Iterable[Family]) -> Iterator[tuple[str, ...]]:
    for each in listed:
        yield f"`{each.name}`", str(each.kind), ", ".join(f"`{label}`" for label in each.labels), each.help


def _row(field: Field) -> tuple[str, ...]:
    labels = "".join(f'{name}="{value}"' for name, value in (field.labels or {}).items())
    name = f"`{field.name}{{{labels}}}`" if labels else f"`{field.name}`"
    sources = ", else ".join(map(_describe, field.sources))
    is_default = "yes" if field.is_default else ""
    number = "" if field.number is None else str(field.number)
    mark = " *" if field.of_instance else ""
    return f"{name}{mark}", number, str(field.kind), field.unit, field.help, sources, field.boards, is_default


def _describe(source: Source) -> str:
    match source:
        case FieldSum():
            return " + ".join(f"`{_FIELD_NAMES[each.number]}`" for each in source.ids)
        case LinkSum():
            return f"`{_FIELD_NAMES[source.number]}` of each link"
        case Gpm():
            return f"`{_METRIC_NAMES[source.metric]}`"
        case Query():
            names = [getattr(each, "name", str(each)) for each in source.arguments]
            detail = ", ".join([*names, *([source.attribute] if source.attribute else [])])
            return f"`{FUNCTIONS[source.method]}`" + (f" ({detail})" if detail else "")
