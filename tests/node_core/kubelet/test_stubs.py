"""The generated stubs are those of the .proto files."""

import subprocess
import sys
from pathlib import Path

from node_core.kubelet import deviceplugin_pb2 as pb

ROOT = Path(__file__).parents[3]


def test_the_stubs_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "tests.stubs", "write", str(tmp_path)], cwd=ROOT, check=True)
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*_pb2*"))
    assert [path.name for path in written] == [
        "cri_pb2.py", "cri_pb2.pyi", "deviceplugin_pb2.py", "deviceplugin_pb2.pyi", "podresources_pb2.py", "podresources_pb2.pyi",
    ]  # fmt: skip
    for path in written:
        assert (ROOT / path).read_text() == (tmp_path / path).read_text(), f"{path} is stale: run `make stubs`"


def test_the_wire_format_is_that_of_kubernetes() -> None:
    """The expected bytes are written by hand, with the field numbers of the API."""
    device = pb.Device(ID="G", health="Healthy", topology=pb.TopologyInfo(nodes=[pb.NUMANode(ID=1)]))
    assert device.SerializeToString() == b"\x0a\x01G\x12\x07Healthy\x1a\x04\x0a\x02\x08\x01"
    request = pb.RegisterRequest(version="v", endpoint="e", resource_name="r", options=pb.DevicePluginOptions(
        pre_start_required=True, get_preferred_allocation_available=True))  # fmt: skip
    assert request.SerializeToString() == b"\x0a\x01v\x12\x01e\x1a\x01r\x22\x04\x08\x01\x10\x01"
    preference = pb.ContainerPreferredAllocationRequest(
        available_deviceIDs=["a"], must_include_deviceIDs=["m"], allocation_size=2
    )
    assert preference.SerializeToString() == b"\x0a\x01a\x12\x01m\x18\x02"
    response = pb.ContainerAllocateResponse(
        envs={"k": "v"},
        mounts=[pb.Mount(container_path="c", host_path="h", read_only=True)],
        devices=[pb.DeviceSpec(container_path="c", host_path="h", permissions="rw")],
        annotations={"k": "v"},
        cdi_devices=[pb.CDIDevice(name="n")],
    )
    assert response.SerializeToString() == (
        b"\x0a\x06\x0a\x01k\x12\x01v\x12\x08\x0a\x01c\x12\x01h\x18\x01\x1a\x0a\x0a\x01c\x12\x01h\x1a\x02rw"
        b"\x22\x06\x0a\x01k\x12\x01v\x2a\x03\x0a\x01n"
    )


def test_the_services_have_the_names_that_the_kubelet_calls() -> None:
    services = {
        service.full_name: [method.name for method in service.methods]
        for service in pb.DESCRIPTOR.services_by_name.values()
    }
    assert services == {
        "v1beta1.Registration": ["Register"],
        "v1beta1.DevicePlugin": [
            "GetDevicePluginOptions", "ListAndWatch", "GetPreferredAllocation", "Allocate", "PreStartContainer",
        ],
    }  # fmt: skip
