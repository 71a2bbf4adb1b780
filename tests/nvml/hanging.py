"""Runs one discovery with a hanging driver, in a process that must end nevertheless. Arguments: the library, the deadline in seconds."""

import sys

from gpu_core.domain.inventory import Inventory
from gpu_core.nvml.inventory import read_inventory
from gpu_core.nvml.real import open_nvml
from gpu_core.nvml.source import InventorySource
from node_core.errors import NvmlError
from node_core.runtime.log import configure_log


def read() -> Inventory:
    return read_inventory(lambda: open_nvml(sys.argv[1]), lambda _: None)


if __name__ == "__main__":
    configure_log("json", "error")  # to standard error
    source = InventorySource(read, has_gpus=lambda: True, deadline=float(sys.argv[2]))
    for _ in range(2):
        try:
            print(len(source.discover().gpus))
        except NvmlError as error:
            print(error.code)
