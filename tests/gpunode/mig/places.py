"""Runs `gpunode mig` on a simulated node whose MIG layouts outlive the command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from click.testing import Result

from node_core.grpc_h2.methods import Unary
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.server import UnixServer
from tests.gpunode.verbs import run_verb

H100 = {"model": "NVIDIA H100 80GB HBM3", "memory": "81559Mi", "device_id": "2330", "subsystem_id": "16c1"}
A100 = {"model": "NVIDIA A100-SXM4-40GB", "memory": "40960Mi", "device_id": "20b0", "subsystem_id": "134f"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MigPlace:
    """A folder with the scenario, the state of its GPUs, the locks and the record of unfinished changes."""

    folder: Path

    def write_scenario(self, *gpus: dict[str, Any], faults: list[dict[str, Any]] | None = None) -> None:
        scenario = {
            "driver": {"version": "550.54.15", "cuda": "12.4"},
            "gpus": [{"count": 1, "compute": "9.0", **gpu} for gpu in gpus],
            "mig_state": str(self.folder / "mig.json"),
            "faults": faults or [],
        }
        self._scenario.write_text(yaml.safe_dump(scenario))

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        where = ("--simulate", str(self._scenario), "--lock-dir", str(self.folder / "run"))
        return run_verb("mig", *arguments, *where, stdin=stdin)

    def apply(self, *arguments: str, stdin: str | None = None) -> Result:
        return self.run("apply", "--state-dir", str(self.folder / "state"), *arguments, stdin=stdin)

    @property
    def _scenario(self) -> Path:
        return self.folder / "node.yaml"


def serve_pods(socket: Path, **devices: str) -> UnixServer:
    """devices: name of a pod -> UUID of its device."""
    pods = [
        pb.PodResources(
            name=name,
            namespace="ml",
            containers=[
                pb.ContainerResources(
                    name="c", devices=[pb.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=[uuid])]
                )
            ],
        )
        for name, uuid in devices.items()
    ]
    content = pb.ListPodResourcesResponse(pod_resources=pods).SerializeToString()
    return UnixServer(socket, {"/v1.PodResourcesLister/List": Unary(lambda _: content)}, name="pod-resources")
