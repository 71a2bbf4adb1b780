"""A simulation is visible on the Node and in the log, and disappears with it."""

import json
import os
import subprocess
import sys

from tests.gpunode.conftest import Cluster

LABEL = "nvidia.com/gpunode.simulated"


def run(cluster: Cluster, module: str, *flags: str) -> list[dict[str, str]]:
    """Runs a labelling agent once. Returns its log."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "NODE_", "GFD_"))}
    command = [sys.executable, "-m", module, "--oneshot", *flags, *cluster.flags(module)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_the_log_names_the_scenario_and_a_label_marks_the_node_until_gfd_runs_without_a_simulation(
    cluster: Cluster,
) -> None:
    for module in ("gfd", "nfd_lite"):
        log = run(cluster, module, "--simulate=t4x1")
        assert [line["scenario"] for line in log if line["event"] == "gpus_simulated"] == ["t4x1"]
        assert "label_not_set" not in {line["event"] for line in log}
    assert cluster.labels[LABEL] == "true"
    assert "gpus_simulated" not in {line["event"] for line in run(cluster, "gfd")}
    assert LABEL not in cluster.labels
