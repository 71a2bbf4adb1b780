"""One look at a driver that hangs, in a process that must end all the same. Arguments: the library, the deadline in seconds."""

import sys

from node_core.domain.inventory import Inventory
from node_core.errors import NvmlError
from node_core.host.nvml.inventory import read_inventory
from node_core.host.nvml.real import open_nvml
from node_core.host.nvml.source import InventorySource


def read() -> Inventory:
    return read_inventory(lambda: open_nvml(sys.argv[1]), lambda _: None)


if __name__ == "__main__":
    source = InventorySource(read, gpus_on_pci=lambda: True, deadline=float(sys.argv[2]))
    for _ in range(2):
        try:
            print(len(source.look().gpus))
        except NvmlError as error:
            print(error.code)
