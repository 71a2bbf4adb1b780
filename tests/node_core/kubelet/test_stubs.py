"""The generated stubs are those of the .proto files."""

import subprocess
import sys
from pathlib import Path

from node_core.kubelet import deviceplugin_pb2 as pb
from node_core.kubelet import dra_health_pb2, dra_pb2, plugin_registration_pb2
from tests.stubs import NAMES

ROOT = Path(__file__).parents[3]


def test_the_stubs_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "tests.stubs", "write", str(tmp_path)], cwd=ROOT, check=True)
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*_pb2*"))
    assert [path.name for path in written] == sorted(
        f"{name}_pb2.{ending}" for name in NAMES for ending in ("py", "pyi")
    )
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


def test_the_wire_format_of_dra_is_that_of_kubernetes() -> None:
    device = dra_pb2.Device(request_names=["r"], pool_name="p", device_name="d", cdi_device_ids=["c"], share_id="s")
    assert device.SerializeToString() == b"\x0a\x01r\x12\x01p\x1a\x01d\x22\x01c\x2a\x01s"
    response = dra_pb2.NodePrepareResourcesResponse(claims={"u": dra_pb2.NodePrepareResourceResponse(error="e")})
    assert response.SerializeToString() == b"\x0a\x08\x0a\x01u\x12\x03\x12\x01e"
    reverted = dra_pb2.NodeUnprepareResourcesResponse(claims={"u": dra_pb2.NodeUnprepareResourceResponse(error="e")})
    assert reverted.SerializeToString() == b"\x0a\x08\x0a\x01u\x12\x03\x0a\x01e"
    claim = dra_pb2.Claim(namespace="n", uid="u", name="c")
    assert claim.SerializeToString() == b"\x0a\x01n\x12\x01u\x1a\x01c"
    info = plugin_registration_pb2.PluginInfo(type="t", name="n", endpoint="e", supported_versions=["v"])
    assert info.SerializeToString() == b"\x0a\x01t\x12\x01n\x1a\x01e\x22\x01v"
    health = dra_health_pb2.DeviceHealth(
        device=dra_health_pb2.DeviceIdentifier(pool_name="p", device_name="d"),
        health=dra_health_pb2.UNHEALTHY,
        last_updated_time=1,
        health_check_timeout_seconds=3,
        message="m",
    )
    assert health.SerializeToString() == b"\x0a\x06\x0a\x01p\x12\x01d\x10\x02\x18\x01\x20\x03\x2a\x01m"


def test_the_services_of_dra_have_the_names_that_the_kubelet_calls() -> None:
    modules = (dra_pb2, dra_health_pb2, plugin_registration_pb2)
    services = [each.full_name for module in modules for each in module.DESCRIPTOR.services_by_name.values()]
    assert services == [
        "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin",
        "v1alpha1.DRAResourceHealth",
        "pluginregistration.Registration",
    ]
