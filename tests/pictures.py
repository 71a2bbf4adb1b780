"""Records terminals of gpunode as SVG files in docs/images, and copies the screenshot of the page that `make test-browser` leaves.

`make screens` writes the files. tests/test_pictures.py compares the SVG files with what the commands print.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import rich._export_format
from rich.console import Console
from rich.text import Text

from node_core.grpc_h2.methods import Unary
from node_core.kubelet import podresources_pb2 as pb
from node_core.kubelet.server import UnixServer
from simulation.apiserver import ApiServer
from tests.gpunode.recorded import load_cluster

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
PAGE, SCREENSHOT = IMAGES / "page.png", ROOT / "build" / "screens" / "fleet.png"
CLUSTER, SCENARIO = "mixed", ROOT / "tests" / "busy.yaml"
COLUMNS = 112
UUID = "GPU-00000000-0000-0000-0000-00000000000{}"
PODS = {"research/llama-train-0": (0, 1, 2, 3), "serving/embed-6c9f7d-x1": (4,), "research/notebook-ana": (5,)}
"""Pod -> its GPUs in SCENARIO."""
# The fonts that rich names are on another server. A reader of the documentation has monospaced fonts.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", rich._export_format.CONSOLE_SVG_FORMAT, flags=re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """command: the arguments of gpunode. shown: what a person types in place of the flags of the recording."""

    command: tuple[str, ...]
    shown: str
    columns: int = COLUMNS


PICTURES: Mapping[str, Picture] = {
    "nodes.svg": Picture(command=("nodes",), shown="kubectl gpu nodes", columns=138),
    "why.svg": Picture(
        command=("why", "-n", "research", "notebook-cem"), shown="kubectl gpu why -n research notebook-cem"
    ),
    "top.svg": Picture(command=("top", "--once", "--simulate", str(SCENARIO)), shown="gpunode top"),
}


def render_picture(name: str) -> str:
    """Runs the command against the recorded cluster, and returns its terminal as SVG."""
    picture = PICTURES[name]
    with ApiServer() as server, tempfile.TemporaryDirectory(prefix="gpunode-picture-") as folder:
        load_cluster(server, CLUSTER)
        kubeconfig = Path(folder) / "kubeconfig"
        server.write_kubeconfig(kubeconfig)
        socket = Path(folder) / "kubelet.sock"
        node = ("--lock-dir", folder, "--pod-resources-socket", str(socket)) if "--simulate" in picture.command else ()
        environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(kubeconfig),
            "COLUMNS": str(picture.columns),
            "FORCE_COLOR": "1",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "gpunode", *picture.command, *node]
        with serve_pods(socket):
            ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if ended.stderr:
        raise RuntimeError(ended.stderr)
    return render_svg(f"$ {picture.shown}\n{ended.stdout}", picture.columns, name.partition(".")[0])


@contextmanager
def serve_pods(socket: Path) -> Iterator[None]:
    """Serves the pod-resources API of a kubelet that runs PODS."""
    pods = [
        pb.PodResources(
            namespace=pod.partition("/")[0],
            name=pod.partition("/")[2],
            containers=[
                pb.ContainerResources(
                    name="main",
                    devices=[
                        pb.ContainerDevices(
                            resource_name="nvidia.com/gpu", device_ids=[UUID.format(index) for index in indexes]
                        )
                    ],
                )
            ],
        )
        for pod, indexes in PODS.items()
    ]
    response = pb.ListPodResourcesResponse(pod_resources=pods).SerializeToString()
    server = UnixServer(socket, {"/v1.PodResourcesLister/List": Unary(lambda _: response)}, name="pod-resources")
    server.start()
    try:
        yield
    finally:
        server.stop()


def render_svg(text: str, columns: int, name: str) -> str:
    """Returns the terminal as SVG. text: with the codes of colours. name: unique among the pictures of a page."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text), soft_wrap=True)
    svg = console.export_svg(title="gpunode", code_format=FORMAT, unique_id=name)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for name in PICTURES:
        (IMAGES / name).write_text(render_picture(name))
    if SCREENSHOT.exists():
        shutil.copy(SCREENSHOT, PAGE)
    else:
        print(f"{SCREENSHOT} is missing: run `make test-browser` first")


if __name__ == "__main__":
    main()
