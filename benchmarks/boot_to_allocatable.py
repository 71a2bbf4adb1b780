"""How long a fresh Node takes from the start of its kubelet to the first pod with a GPU.

    .venv/bin/python -m benchmarks.boot_to_allocatable [runs]

On a real cluster of this machine (`make cluster` prepares it; root is needed). Each run deletes the Node, leaves a pod waiting for two
simulated GPUs by product, and starts the kubelet: it registers the Node, the DaemonSets' pods come, nfd-lite and gfd label the Node, the
plugin registers, the pod is bound and runs. Prints medians with minimum and maximum, in seconds since the kubelet's start. Images are on
the Node already.
"""

import sys

from tests.e2e.cluster import down, up
from tests.e2e.cluster.build import cache_folder
from tests.e2e.cluster.image import build_gpunode
from tests.e2e.real import RealWorld
from tests.e2e.scenarios.boot import a_fresh_node_soon_runs_a_pod_with_gpus
from tests.e2e.timings import Timings, render_timings


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    timings = Timings()
    try:
        cluster = up(say=lambda line: print(line, file=sys.stderr))
        cluster.import_image(build_gpunode(cache_folder()))
        world = RealWorld(cluster, timings)
        for _ in range(runs):
            a_fresh_node_soon_runs_a_pod_with_gpus(world)
            world.clean()
        print("\n".join(render_timings(timings.seconds)))
    finally:
        down()


if __name__ == "__main__":
    main()
