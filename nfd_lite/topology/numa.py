"""The NUMA nodes of the host: CPUs, memory, huge pages and distances.

Sources: kernel Documentation/ABI/stable/sysfs-devices-node, Documentation/admin-guide/mm/hugetlbpage.rst, proc(5). The distances are those
of the firmware's SLIT: 10 is the distance of a node to itself.
"""

import re

from nfd_lite.hugepages import hugepage_name
from node_core.domain.node_resources import NumaNode
from node_core.errors import HostReadError
from node_core.host.root import HostRoot

MEMORY = "memory"
_NODES = "/sys/devices/system/node"
_ONLINE = f"{_NODES}/online"
_CPUS = "/sys/devices/system/cpu/online"
_MEMINFO = "/proc/meminfo"
_HUGEPAGES = "/sys/kernel/mm/hugepages"
_LOCAL_DISTANCE = 10
_MAX_NUMBER = 1 << 16
"""More than the kernel's limits for CPUs (8192) and NUMA nodes (1024)."""


def read_numa_nodes(root: HostRoot) -> tuple[NumaNode, ...]:
    """Reads the NUMA nodes that are online. A kernel without NUMA has one node with everything. Raises HostReadError."""
    text = root.text(_ONLINE)
    if text is None:
        return (_read_single_node(root),)
    online = sorted(parse_numbers(_ONLINE, text))
    return tuple(_read_node(root, number, online) for number in online)


def _read_node(root: HostRoot, number: int, online: list[int]) -> NumaNode:
    folder = f"{_NODES}/node{number}"
    distances = root.text(f"{folder}/distance")
    return NumaNode(
        number=number,
        cpus=parse_numbers(f"{folder}/cpulist", _read(root, f"{folder}/cpulist")),
        memory={
            MEMORY: parse_memory(f"{folder}/meminfo", _read(root, f"{folder}/meminfo")),
            **_read_hugepages(root, f"{folder}/hugepages"),
        },
        distances={} if distances is None else parse_distances(f"{folder}/distance", distances, online),
    )


def _read_single_node(root: HostRoot) -> NumaNode:
    return NumaNode(
        number=0,
        cpus=parse_numbers(_CPUS, _read(root, _CPUS)),
        memory={MEMORY: parse_memory(_MEMINFO, _read_meminfo(root)), **_read_hugepages(root, _HUGEPAGES)},
        distances={0: _LOCAL_DISTANCE},
    )


def _read_hugepages(root: HostRoot, folder: str) -> dict[str, int]:
    """Returns the bytes in huge pages by resource."""
    found: dict[str, int] = {}
    for name in root.entries(folder):
        if (resource := hugepage_name(name)) is not None:
            path = f"{folder}/{name}/nr_hugepages"
            found[resource] = _number(path, _read(root, path)) * int(name[len("hugepages-") : -len("kB")]) * 1024
    return found


def _read_meminfo(root: HostRoot) -> str:
    """Without /proc of the host, as in the chart, /proc of this process has the same amount: the file belongs to no namespace."""
    text = root.text(_MEMINFO)
    return _read(HostRoot(), _MEMINFO) if text is None else text


def _read(root: HostRoot, path: str) -> str:
    text = root.text(path)
    if text is None:
        raise HostReadError(f"{root.path(path)} is missing", hint="mount the host there, or correct --host-root")
    return text


def parse_numbers(path: str, text: str) -> frozenset[int]:
    """Parses a list of numbers in the kernel's format, `0-3,8`. Raises HostReadError. path: for the error."""
    numbers: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        low, high = _number(path, first), _number(path, last or first)
        if not low <= high < _MAX_NUMBER:
            raise HostReadError(f"{path} contains {part[:80]!r}, which is not a range of numbers")
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def parse_memory(path: str, text: str) -> int:
    """Returns MemTotal of a file in the format of /proc/meminfo, in bytes. Raises HostReadError. path: for the error."""
    match = re.search(r"^(?:Node \d+ )?MemTotal: +(\d{1,18}) kB$", text, re.MULTILINE | re.ASCII)
    if match is None:
        raise HostReadError(f"{path} has no MemTotal")
    return int(match[1]) * 1024


def parse_distances(path: str, text: str, online: list[int]) -> dict[int, int]:
    """Parses the distances of a NUMA node. The file has one number for each online node. Raises HostReadError. path: for the error."""
    numbers = [_number(path, word) for word in text.split()]
    if len(numbers) != len(online):
        raise HostReadError(f"{path} has {len(numbers)} distances, but {len(online)} NUMA nodes are online")
    return dict(zip(online, numbers, strict=True))


def _number(path: str, text: str) -> int:
    word = text.strip()
    if not (word.isascii() and word.isdigit() and len(word) <= 18):
        raise HostReadError(f"{path} contains {word[:80]!r}, which is not a number")
    return int(word)
