"""Where NVML gives the value of a field: the kinds of queries, as data. PURE.

Source: NVML API reference, device queries, field value queries, GPM functions.
"""

from collections.abc import Hashable

import msgspec

from gpu_core.nvml.usage_api import FieldId


class FieldSum(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of values of nvmlDeviceGetFieldValues. All of them are necessary."""

    ids: tuple[FieldId, ...]
    scale: float = 1


class LinkSum(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of a value of nvmlDeviceGetFieldValues over all NVLinks of the GPU. number: NVML_FI_*."""

    number: int
    scale: float = 1


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A method of `Nvml` with one value, or one attribute of its value. of_instance: NVML also answers for a MIG device."""

    method: str
    arguments: tuple[Hashable, ...] = ()
    attribute: str | None = None
    scale: float = 1
    of_instance: bool = False


class Gpm(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of nvmlGpmMetricsGet: the mean since the last reading. of_instance: NVML also gives it for a GPU instance."""

    metric: int
    scale: float = 1
    of_instance: bool = True


Source = FieldSum | LinkSum | Query | Gpm
