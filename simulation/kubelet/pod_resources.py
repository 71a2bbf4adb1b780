"""The pod-resources API of the simulated kubelet: the resources of the Node, and the devices and CPUs of each Pod.

Source: Kubernetes documentation, Monitoring device plugin resources.
"""

from collections.abc import Iterator
from pathlib import Path

from node_core.grpc_h2.methods import Unary
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.server import UnixServer
from simulation.kubelet.kubelet import Kubelet
from simulation.kubelet.node_agent import NodeAgent


def pod_resources_server(socket: Path, agent: NodeAgent) -> UnixServer:
    """Returns a server that is not started. Creates the folder of the socket."""
    socket.parent.mkdir(parents=True, exist_ok=True)

    def list_pods(_: bytes) -> bytes:
        return bytes(pb.ListPodResourcesResponse(pod_resources=_list_pods(agent)).SerializeToString())

    def list_allocatable(_: bytes) -> bytes:
        kubelet = agent.kubelet
        devices = [
            _device(kubelet, resource, id_)
            for resource in kubelet.resources()
            for id_, is_healthy in kubelet.device_health(resource).items()
            if is_healthy
        ]
        cpus = sorted(kubelet.cpus.numa_nodes)
        return bytes(pb.AllocatableResourcesResponse(devices=devices, cpu_ids=cpus).SerializeToString())

    methods = {"List": Unary(list_pods), "GetAllocatableResources": Unary(list_allocatable)}
    return UnixServer(
        socket, {f"/v1.PodResourcesLister/{name}": each for name, each in methods.items()}, name="pod-resources"
    )


def _list_pods(agent: NodeAgent) -> Iterator[pb.PodResources]:
    grants = agent.grants
    for uid, (namespace, name) in agent.names.items():
        containers = [
            pb.ContainerResources(
                name=container,
                devices=[
                    _device(agent.kubelet, resource, id_) for resource, ids in grant.device_ids.items() for id_ in ids
                ],
                cpu_ids=sorted(grant.cpus),
            )
            for container, grant in grants.get(uid, {}).items()
        ]
        yield pb.PodResources(name=name, namespace=namespace, containers=containers)


def _device(kubelet: Kubelet, resource: str, id_: str) -> pb.ContainerDevices:
    nodes = [pb.NUMANode(ID=node) for node in kubelet.numa_nodes(resource).get(id_, ())]
    return pb.ContainerDevices(resource_name=resource, device_ids=[id_], topology=pb.TopologyInfo(nodes=nodes))
