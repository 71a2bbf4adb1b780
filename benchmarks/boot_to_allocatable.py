"""The time from the start of the kubelet on a new Node to the first running pod with GPUs.

    .venv/bin/python -m benchmarks.boot_to_allocatable [runs]

Needs root, and starts a real cluster on this machine (as `make cluster` does). Each run deletes the Node, creates a pod that requests two
simulated GPUs of one product, and starts the kubelet. Then the kubelet registers the Node, the pods of the DaemonSets start, nfd-lite and
gfd label the Node, the plugin registers, and the pod runs. Prints medians with minimum and maximum, in seconds since the start of the
kubelet. The images already exist on the Node.
"""

import sys

from tests.e2e.cluster import down, up
from tests.e2e.cluster.build import cache_folder
from tests.e2e.cluster.image import build_gpunode
from tests.e2e.real import RealWorld
from tests.e2e.scenarios.boot import a_new_node_runs_a_pod_with_gpus
from tests.e2e.timings import Timings, render_timings


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    timings = Timings()
    try:
        cluster = up(say=lambda line: print(line, file=sys.stderr))
        cluster.import_image(build_gpunode(cache_folder()))
        world = RealWorld(cluster, timings)
        for _ in range(runs):
            a_new_node_runs_a_pod_with_gpus(world)
            world.clean()
        print("\n".join(render_timings(timings.seconds)))
    finally:
        down()


if __name__ == "__main__":
    main()
