"""Writes a host of the tests from a machine, or from a capture of its /proc and /sys: `python -m tests.roots.capture [ROOT]`.

Only what the sources of nfd_lite read is taken, so no serial number, address or host name is. Where a capture has no links of
/sys/bus/{cpu,node} the folders that they lead to are taken; where it has no subsystem ids those of the function's modalias are, and
where it has no kernel release that of /proc/version is.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

FILES = """
etc/os-release usr/lib/os-release proc/sys/kernel/osrelease proc/cpuinfo proc/modules proc/swaps sys/fs/selinux/enforce
sys/devices/system/cpu/cpu0/regs/identification/midr_el1 sys/devices/system/cpu/cpuidle/current_driver
sys/module/intel_idle/parameters/max_cstate sys/devices/system/cpu/intel_pstate/* sys/devices/system/cpu/amd_pstate/status
sys/devices/system/cpu/cpufreq/policy*/affected_cpus sys/devices/system/cpu/cpufreq/policy*/scaling_governor
sys/fs/resctrl/info/L3/num_closids sys/devices/virtual/misc/kvm/dev sys/devices/virtual/dmi/id/bios_*
sys/devices/virtual/dmi/id/*_vendor sys/devices/virtual/dmi/id/*_name sys/devices/virtual/dmi/id/chassis_type
sys/kernel/mm/hugepages/*/nr_hugepages sys/hypervisor/type sys/firmware/devicetree/base/compatible
sys/firmware/devicetree/base/hypervisor/compatible
"""
CPU = ("online", "topology/thread_siblings_list", "topology/physical_package_id", "cpufreq/base_frequency")
PCI = (
    *("class", "vendor", "device", "subsystem_vendor", "subsystem_device", "numa_node"),
    *("sriov_totalvfs", "sriov_numvfs", "iommu_group/type", "iommu/intel-iommu/version"),
)
USB = ("bDeviceClass", "idVendor", "idProduct", "*/bInterfaceClass")
BLOCK = ("size", "queue/rotational", "queue/zoned", "queue/nr_zones", "queue/dax")
NET = ("operstate", "speed", "mtu")
_SUBSYSTEM = re.compile(r"sv0000([0-9A-F]{4})sd0000([0-9A-F]{4})")


def capture(root: Path) -> Iterator[str]:
    """The lines of `<name>.root`."""
    for path in sorted({path for pattern in FILES.split() for path in root.glob(pattern)}):
        yield from _file(path, f"/{path.relative_to(root)}")
    yield from _release(root)
    for name, cpu in _first(root, "sys/bus/cpu/devices", "sys/devices/system/cpu", r"cpu\d+"):
        yield from _files(cpu, CPU, f"/sys/bus/cpu/devices/{name}")
    for name, node in _first(root, "sys/bus/node/devices", "sys/devices/system/node", r"node\d+"):
        yield from list(_files(node, ("cpulist",), f"/sys/bus/node/devices/{name}")) or [
            f"/sys/bus/node/devices/{name}/"
        ]
    for name, function in _first(root, "sys/bus/pci/devices", "", r".*"):
        yield from _function(function, f"/sys/bus/pci/devices/{name}")
    for name, device in _first(root, "sys/bus/usb/devices", "", r".*"):
        yield from _files(device, USB, f"/sys/bus/usb/devices/{name}")
    for name, disk in _first(root, "sys/block", "sys/class/block", r".*"):
        yield from [f"/sys/block/{name}/device/"] if (disk / "device").exists() else []
        yield from list(_files(disk, BLOCK, f"/sys/block/{name}")) or [f"/sys/block/{name}/"]
    for name, interface in _first(root, "sys/class/net", "", r".*"):
        yield from _interface(interface, f"/sys/class/net/{name}")


def _release(root: Path) -> Iterator[str]:
    """The kernel's release, by /proc/version where a capture has no more."""
    version = root / "proc/version"
    if version.is_file() and not (root / "proc/sys/kernel/osrelease").is_file():
        yield f"/proc/sys/kernel/osrelease = {version.read_text().split()[2]}\\n"


def _first(root: Path, folder: str, otherwise: str, name: str) -> list[tuple[str, Path]]:
    base = next((root / each for each in (folder, otherwise) if each and (root / each).is_dir()), None)
    found = [] if base is None else [path for path in base.iterdir() if re.fullmatch(name, path.name)]
    numbers = [(re.sub(r"\d+", lambda match: match[0].zfill(6), path.name), path) for path in found]
    return [(path.name, path.resolve()) for _, path in sorted(numbers)]


def _files(folder: Path, patterns: tuple[str, ...], at: str) -> Iterator[str]:
    for path in (path for pattern in patterns for path in sorted(folder.glob(pattern))):
        yield from _file(path, f"{at}/{path.relative_to(folder)}")


def _file(path: Path, at: str) -> Iterator[str]:
    try:
        text = path.read_text() if path.is_file() else ""
    except OSError:
        return
    text = _cut(text) if path.name == "cpuinfo" else text
    if text:
        yield f"{at} = " + text.replace("\n", "\\n").replace("\t", "\\t").replace("\0", "\\0")


def _cut(cpuinfo: str) -> str:
    """The first processor, and the lines that stand for all."""
    seen: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        seen.setdefault(line.partition(":")[0].strip(), line)
    return "\n".join(line for key, line in seen.items() if key) + "\n"


def _function(folder: Path, at: str) -> Iterator[str]:
    yield from _files(folder, PCI, at)
    modalias = folder / "modalias"
    found = _SUBSYSTEM.search(modalias.read_text()) if modalias.is_file() else None
    if found is not None and not (folder / "subsystem_vendor").exists():
        yield f"{at}/subsystem_vendor = 0x{found[1].lower()}\\n"
        yield f"{at}/subsystem_device = 0x{found[2].lower()}\\n"
    for link in ("driver", "physfn"):
        if (folder / link).is_symlink():
            name = (folder / link).readlink().name
            yield f"{at}/{link} -> " + (f"../{name}" if link == "physfn" else f"../../../bus/pci/drivers/{name}")


def _interface(folder: Path, at: str) -> Iterator[str]:
    yield from _files(folder, NET, at)
    device = folder / "device"
    if device.is_symlink():
        name = device.readlink().name
        is_function = re.fullmatch(r"[0-9a-f]{4,8}(:[0-9a-f]{2}){2}\.\d", name)
        yield f"{at}/device -> ../../../bus/pci/devices/{name}" if is_function else f"{at}/device/"


if __name__ == "__main__":
    for line in capture(Path(sys.argv[1] if len(sys.argv) > 1 else "/")):
        print(line)
