"""The pod-resources API of the simulated kubelet: the devices of each Pod of the Node.

Source: Kubernetes documentation, Monitoring device plugin resources.
"""

from collections.abc import Iterator
from pathlib import Path

from node_core.grpc_h2.methods import Unary
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.server import UnixServer
from simulation.kubelet.node_agent import NodeAgent


def pod_resources_server(socket: Path, agent: NodeAgent) -> UnixServer:
    """Returns a server that is not started. Creates the folder of the socket."""
    socket.parent.mkdir(parents=True, exist_ok=True)

    def list_pods(_: bytes) -> bytes:
        return bytes(pb.ListPodResourcesResponse(pod_resources=_list_pods(agent)).SerializeToString())

    return UnixServer(socket, {"/v1.PodResourcesLister/List": Unary(list_pods)}, name="pod-resources")


def _list_pods(agent: NodeAgent) -> Iterator[pb.PodResources]:
    grants = agent.grants
    for uid, (namespace, name) in agent.names.items():
        containers = [
            pb.ContainerResources(
                name=container,
                devices=[
                    pb.ContainerDevices(resource_name=resource, device_ids=ids)
                    for resource, ids in grant.device_ids.items()
                ],
            )
            for container, grant in grants.get(uid, {}).items()
        ]
        yield pb.PodResources(name=name, namespace=namespace, containers=containers)
