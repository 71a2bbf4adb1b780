"""The demo as its user meets it, and the pure parts of what it shows."""

import os
import platform
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from gpunode.demo.changes import Change, NodeState, agent_of, diff_nodes, group_labels
from gpunode.demo.pod import choose_resource, render_pod
from gpunode.demo.render import render_change, render_labels
from gpunode.demo.stage import choose_mig_strategy, name_node
from node_core.host.nvml.inventory import read_inventory
from node_core.simulate.nvml import numa_of, simulated_nvml
from node_core.simulate.scenario import load_scenario


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "NODE_", "GFD_"))}
    command = [sys.executable, "-m", "gpunode", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, env=environment)


def test_the_tour_labels_this_machine_and_hands_eight_gpus_to_a_kubelet() -> None:
    done = demo("--once", "--gpus", "h100x8")
    assert done.returncode == 0, done.stderr
    assert f"kernel-version.full                 {platform.release()}" in done.stdout
    assert "simulated: h100x8" in done.stdout
    assert "nvidia.com/gpu  capacity 8, allocatable 8" in done.stdout
    assert "env NVIDIA_VISIBLE_DEVICES  GPU-" in done.stdout


@pytest.mark.parametrize("scenario", ["none", "h100x8-mig-mixed", "mixed-models", "gb10", "jetson-orin", "wsl"])
def test_every_kind_of_node_tours_to_its_end(scenario: str) -> None:
    done = demo("--gpus", scenario)
    assert done.returncode == 0, done.stderr
    advertised = "advertises nothing" if scenario == "none" else "registers at the kubelet"
    assert f"gpu-device-plugin {advertised}" in done.stdout


def test_a_scenario_that_is_none_is_refused_with_the_names() -> None:
    done = demo("--gpus", "h100")
    assert done.returncode == 2
    assert "no scenario 'h100'" in done.stderr
    assert "h100x8" in done.stderr


@pytest.mark.parametrize(
    ("scenario", "strategy"),
    [("h100x8", "none"), ("none", "none"), ("a100x4-mig-single", "single"), ("h100x8-mig-mixed", "mixed")],
)
def test_the_mig_strategy_fits_the_fleet(scenario: str, strategy: str) -> None:
    loaded = load_scenario(scenario)
    if loaded.driver is not None:
        inventory = read_inventory(simulated_nvml(loaded, lambda: 0.0), numa_of(loaded))
        assert choose_mig_strategy(inventory) == strategy


@pytest.mark.parametrize(
    ("host", "node"),
    [("vm", "vm"), ("My_Laptop.local", "my-laptop.local"), ("---", "this-machine"), ("x" * 80, "x" * 63)],
)
def test_the_node_gets_a_name_that_kubernetes_takes(host: str, node: str) -> None:
    assert name_node(host) == node


def test_labels_are_grouped_by_the_agent_that_makes_them() -> None:
    labels = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.count": "8", "kubernetes.io/os": "linux"}
    assert agent_of("feature.node.kubernetes.io/cpu-model.id") == "nfd-lite"
    assert group_labels(labels) == {
        "nfd-lite": {"nvidia.com/gpu.present": "true"},
        "gfd": {"nvidia.com/gpu.count": "8"},
        "kubernetes": {"kubernetes.io/os": "linux"},
    }


def test_changes_are_what_differs() -> None:
    before = NodeState(labels={"nvidia.com/gpu.count": "8", "x": "1"}, resources={"nvidia.com/gpu": ("8", "8")})
    owners = {"nvidia.com/gpu.count": "kubectl-label"}
    after = NodeState(labels={"nvidia.com/gpu.count": "7"}, owners=owners, resources={"nvidia.com/gpu": ("8", "7")})
    assert diff_nodes(before, after) == (
        Change(agent="kubectl-label", kind="label", key="nvidia.com/gpu.count", before="8", after="7"),
        Change(agent="somebody", kind="label", key="x", before="1", after=None),
        Change(agent="gpu-device-plugin", kind="resource", key="nvidia.com/gpu", before="8", after="7 of 8"),
    )
    assert diff_nodes(after, after) == ()


@pytest.mark.parametrize(("before", "after", "shown"), [(None, "8", "+ 8"), ("8", None, "- 8"), ("8", "7", "8 → 7")])
def test_a_change_is_one_line(before: str | None, after: str | None, shown: str) -> None:
    console = Console(file=StringIO(), width=100)
    with console.capture() as captured:
        console.print(render_change(Change(agent="gfd", kind="label", key="k", before=before, after=after), "10:00:00"))
    assert captured.get().strip() == f"10:00:00  gfd               k  {shown}"


def test_cpu_flags_share_a_paragraph() -> None:
    console = Console(file=StringIO(), width=100)
    flags = {f"feature.node.kubernetes.io/cpu-cpuid.{name}": "true" for name in ("ADX", "AVX")}
    with console.capture() as captured:
        console.print(render_labels(flags, "nfd-lite"))
    assert "cpu-cpuid.*  true for 2:" in captured.get()
    assert "ADX AVX" in captured.get()


def test_the_sample_pod_asks_for_what_there_is() -> None:
    assert choose_resource({"nvidia.com/mig-1g.10gb": ("9", "9"), "nvidia.com/gpu": ("2", "2")}) == "nvidia.com/gpu"
    assert (
        choose_resource({"nvidia.com/mig-1g.10gb": ("4", "4"), "nvidia.com/gpu": ("2", "0")})
        == "nvidia.com/mig-1g.10gb"
    )
    pod = render_pod({"nvidia.com/gpu.product": "Tesla-T4"}, "nvidia.com/gpu", 1)
    assert pod["spec"]["nodeSelector"] == {"nvidia.com/gpu.product": "Tesla-T4"}
    assert render_pod({}, "nvidia.com/gpu", 1)["spec"]["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
