"""Virtual machines on processors without CPUID."""

import pytest

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.cpu.hypervisor import name_dmi, read_hypervisor
from nfd_lite.sources import Host, SourceSettings, collect
from nfd_lite.sources.cpu import CPU
from node_core.domain.desired import merge_labels
from node_core.errors import HostReadError
from node_core.host.root import HostRoot
from tests.nfd_lite.sources.scans import LayOut

DMI = "/sys/devices/virtual/dmi/id"
TREE = "/sys/firmware/devicetree/base"
LABEL = "feature.node.kubernetes.io/cpu-model.hypervisor"


@pytest.mark.parametrize(
    ("vendor", "product", "hypervisor"),
    [
        ("Amazon EC2", "m6g.large", "kvm"),
        ("Amazon EC2", "m7g.metal", None),
        ("Amazon EC2", "m8g.metal-24xl", None),
        ("QEMU", "KVM Virtual Machine", "kvm"),
        ("QEMU", "QEMU Virtual Machine", "qemu"),
        ("Microsoft Corporation", "Virtual Machine", "msvm"),
        ("Microsoft Corporation", "Surface Pro X", None),
        ("Google", "Google Compute Engine", "kvm"),
        ("VMware, Inc.", "VMware20,1", "vmware"),
        ("Apple Inc.", "Apple Virtualization Generic Platform", "apple"),
        ("Apple Inc.", "MacBook Pro", None),
        ("OpenStack Foundation", "OpenStack Nova", "kvm"),
        ("Red Hat", "OpenStack Compute", "kvm"),
        ("KubeVirt", "None", "kvm"),
        ("Hetzner", "vServer", "kvm"),
        ("Parallels International GmbH.", "Parallels ARM Virtual Machine", "unknown"),
        ("NVIDIA", "P3880", None),
        ("Ampere(R)", "Mt. Jade", None),
        ("GIGABYTE", "R272-P30-JG", None),
        ("", "", None),
    ],
)
def test_the_firmware_of_virtual_machines_names_the_hypervisor(
    vendor: str, product: str, hypervisor: str | None
) -> None:
    assert name_dmi(vendor, product) == hypervisor


@pytest.mark.parametrize(
    ("files", "hypervisor"),
    [
        ({}, None),
        ({"/sys/hypervisor/type": "xen\n"}, "xenhvm"),
        ({f"{TREE}/hypervisor/compatible": "linux,kvm\0"}, "kvm"),
        ({f"{TREE}/hypervisor/compatible": "xen,xen-4.17\0xen,xen\0"}, "xenhvm"),
        ({f"{TREE}/hypervisor/compatible": "qcom,gunyah-1.0\0"}, "unknown"),
        ({f"{TREE}/hypervisor/name": "hypervisor\0"}, "unknown"),
        ({"/proc/device-tree/hypervisor/compatible": "linux,kvm\0"}, "kvm"),
        ({f"{TREE}/compatible": "linux,dummy-virt\0"}, "unknown"),
        ({f"{TREE}/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0"}, None),
        ({f"{DMI}/sys_vendor": "QEMU\n", f"{DMI}/product_name": "KVM Virtual Machine\n"}, "kvm"),
        ({f"{DMI}/sys_vendor": "\n"}, None),
    ],
)
def test_a_hypervisor_is_reported_only_if_the_host_shows_one(
    files: dict[str, str], hypervisor: str | None, lay_out: LayOut
) -> None:
    assert read_hypervisor(lay_out(files)) == hypervisor


@pytest.mark.parametrize(("own", "label"), [("none", "none"), ("msvm", "msvm"), (None, "kvm")])
def test_what_the_processor_reports_takes_precedence_over_the_firmware(
    own: str | None, label: str, lay_out: LayOut
) -> None:
    root = lay_out({f"{DMI}/sys_vendor": "Amazon EC2\n", f"{DMI}/product_name": "m6g.large\n"})
    info = CpuInfo(arch="aarch64", method="test", hypervisor=own)
    collection = collect(Host(root=root, cpu=lambda _: info), SourceSettings(), CPU)
    assert merge_labels(collection.results, {})[LABEL] == label


def test_firmware_that_cannot_be_read_costs_no_published_label(lay_out: LayOut) -> None:
    class Broken(HostRoot):
        def read(self, host_path: str, *, limit: int = 1 << 20) -> bytes | None:
            if host_path.startswith(DMI):
                raise HostReadError(f"cannot read {host_path}")
            return HostRoot.read(self, host_path, limit=limit)

    host = Host(root=Broken(lay_out({}).base), cpu=lambda _: CpuInfo(arch="aarch64", method="test", vendor="ARM"))
    merged = merge_labels(collect(host, SourceSettings(), CPU).results, {LABEL: "kvm"})
    assert merged[LABEL] == "kvm"
    assert merged["feature.node.kubernetes.io/cpu-model.vendor_id"] == "ARM"
