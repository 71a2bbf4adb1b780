"""Recognises virtual machines without CPUID, which only x86 has. The names are those that Node Feature Discovery gives by CPUID.

A firmware or a device tree of bare metal does not state that there is no hypervisor, so nothing here returns `none`.
Sources: kernel Documentation/ABI/testing/sysfs-hypervisor-xen, sysfs-class-dmi, Documentation/devicetree/bindings/arm/xen.txt; the SMBIOS
tables and device trees of the hypervisors.
"""

from node_core.host.root import HostRoot

UNKNOWN = "unknown"
"""A hypervisor without a known name."""

_TYPE = "/sys/hypervisor/type"
_TREES = ("/sys/firmware/devicetree/base", "/proc/device-tree")
_DMI = "/sys/devices/virtual/dmi/id"
_TYPES = {"xen": "xenhvm"}
_TREE_HYPERVISORS = (("linux,kvm", "kvm"), ("xen,", "xenhvm"), ("vmware", "vmware"))
"""The start of `compatible` of the node `hypervisor` -> hypervisor."""
_VIRTUAL_BOARDS = frozenset({"linux,dummy-virt", "riscv-virtio"})
"""`compatible` of the boards that QEMU and other monitors emulate, with or without KVM."""
_PRODUCTS = (
    ("amazon ec2", "", "kvm"),
    ("qemu", "kvm", "kvm"),
    ("qemu", "", "qemu"),
    ("microsoft corporation", "virtual machine", "msvm"),
    ("google", "google compute engine", "kvm"),
    ("vmware", "", "vmware"),
    ("apple", "apple virtualization", "apple"),
    ("xen", "", "xenhvm"),
    ("bhyve", "", "bhyve"),
    ("freebsd", "bhyve", "bhyve"),
    ("openstack", "", "kvm"),
    ("red hat", "openstack", "kvm"),
    ("red hat", "kvm", "kvm"),
    ("kubevirt", "", "kvm"),
    ("nutanix", "ahv", "kvm"),
    ("hetzner", "vserver", "kvm"),
    ("tencent cloud", "cvm", "kvm"),
    ("", "openstack", "kvm"),
    ("", "kvm", "kvm"),
    ("parallels", "", UNKNOWN),
    ("innotek", "virtualbox", UNKNOWN),
    ("oracle", "virtualbox", UNKNOWN),
)
"""Start of sys_vendor and of product_name in lower case -> hypervisor. The first match counts."""


def read_hypervisor(root: HostRoot) -> str | None:
    """Reads the hypervisor from Xen's sysfs, the device tree and DMI. None if nothing shows a hypervisor. Raises HostReadError."""
    boards = (_read_board(root, tree) for tree in _TREES)
    return _TYPES.get(root.text(_TYPE) or "") or next(filter(None, boards), None) or _read_dmi(root)


def _read_board(root: HostRoot, tree: str) -> str | None:
    if root.entries(f"{tree}/hypervisor"):
        return name_hypervisor_node(_read_compatible(root, f"{tree}/hypervisor"))
    return UNKNOWN if _VIRTUAL_BOARDS.intersection(_read_compatible(root, tree)) else None


def _read_compatible(root: HostRoot, node: str) -> tuple[str, ...]:
    """Reads the strings of `compatible`, the most specific first. Each string ends with a null byte."""
    return tuple(filter(None, (root.text(f"{node}/compatible") or "").split("\0")))


def name_hypervisor_node(names: tuple[str, ...]) -> str:
    """names: `compatible` of the node `hypervisor`."""
    known = (name for prefix, name in _TREE_HYPERVISORS if any(each.startswith(prefix) for each in names))
    return next(known, UNKNOWN)


def _read_dmi(root: HostRoot) -> str | None:
    vendor, product = (root.text(f"{_DMI}/{name}") or "" for name in ("sys_vendor", "product_name"))
    return name_dmi(vendor, product)


def name_dmi(vendor: str, product: str) -> str | None:
    """Names the hypervisor of a virtual machine by DMI; None for other machines, and for EC2 instances of bare metal (`m7g.metal`)."""
    vendor, product = vendor.lower(), product.lower()
    if vendor.startswith("amazon ec2") and ".metal" in product:
        return None
    matches = (name for maker, model, name in _PRODUCTS if vendor.startswith(maker) and product.startswith(model))
    return next(matches, None)
