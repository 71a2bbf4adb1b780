"""The memory source."""

import pytest

from tests.nfd_lite.sources.scans import LayOut, scan


def test_a_page_size_that_cannot_be_read_leaves_the_others(lay_out: LayOut) -> None:
    pages = "/sys/kernel/mm/hugepages"
    root = lay_out({f"{pages}/hugepages-2048kB/nr_hugepages/": "", f"{pages}/hugepages-1048576kB/nr_hugepages": "4\n"})
    assert scan(root)[0].attributes["memory.hugepages"] == {"enabled": "true", "hugepages-1Gi": "4"}


def test_one_numa_node_and_no_swap_have_no_label(lay_out: LayOut) -> None:
    features, labels = scan(lay_out({"/sys/bus/node/devices/node0/": "", "/proc/swaps": "Filename Type\n"}))
    assert labels == {}
    assert features.attributes["memory.numa"] == {"is_numa": "false", "node_count": "1"}
    assert features.attributes["memory.swap"] == {"enabled": "false"}


@pytest.mark.parametrize(
    ("devices", "labels"),
    [
        ({"ndbus0": "nd_bus"}, {}),
        ({"ndbus0": "nd_bus", "nmem0": "nvdimm"}, {"memory-nv.present": "true"}),
        ({"dax0.0": "nd_dax"}, {"memory-nv.present": "true", "memory-nv.dax": "true"}),
    ],
)
def test_a_bus_without_nvdimms_is_not_memory(devices: dict[str, str], labels: dict[str, str], lay_out: LayOut) -> None:
    files = {f"/sys/bus/nd/devices/{name}/devtype": f"{kind}\n" for name, kind in devices.items()}
    features, found = scan(lay_out(files))
    assert found == labels
    assert len(features.instances["memory.nv"]) == len(devices)
