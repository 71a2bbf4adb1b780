"""kustomize builds the overlay, and the agents get their flags and files."""

import json
import shutil
from typing import Any

import pytest
import yaml

from tests.e2e.cluster.cluster import KUBECTL
from tests.e2e.cluster.commands import run
from tests.e2e.overlay import AGENTS, OPTIONAL, render_overlay
from tests.e2e.real import MANIFESTS
from tests.e2e.world import Setup

SETUP = Setup(
    flags=("--mig-strategy=mixed",),
    nfd_flags=("--enable-taints=true",),
    plugin_flags=("--device-id-strategy=index",),
    configs={"default": "version: v1\n"},
    exports_metrics=True,
    mig_state="test",
    toolkit_flags=("--toolkit-mode=report",),
    validates=True,
    publishes_topology=True,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    """The built objects by kind and name. Names of ConfigMaps are without digests."""
    folder = tmp_path_factory.mktemp("overlay")
    shutil.copytree(MANIFESTS / "base", folder / "base")
    for agent, (overlay, names) in OPTIONAL.items():
        (folder / agent).mkdir()
        for name in names:
            shutil.copy(MANIFESTS / "overlays" / overlay / name, folder / agent)
    for name, text in render_overlay(SETUP, "node-7").items():
        (folder / name).write_text(text)
    documents = yaml.safe_load_all(run(str(KUBECTL), "kustomize", str(folder)))
    return {(each["kind"], base_name(each)): each for each in documents}


def base_name(obj: dict[str, Any]) -> str:
    name: str = obj["metadata"]["name"]
    return name.rpartition("-")[0] if obj["kind"] == "ConfigMap" else name


def container(built: dict[tuple[str, str], Any], agent: str) -> dict[str, Any]:
    pod = built["DaemonSet", agent]["spec"]["template"]["spec"]
    (only,) = pod["containers"]
    return {**only, "pod": pod}


@pytest.mark.parametrize("agent", [*AGENTS, *OPTIONAL])
def test_every_agent_runs_the_image_on_the_node_with_the_scenario(
    built: dict[tuple[str, str], Any], agent: str
) -> None:
    agent_container = container(built, agent)
    assert (agent_container["image"], agent_container["imagePullPolicy"]) == ("gpunode.local/gpunode:e2e", "Never")
    assert agent_container["pod"]["nodeSelector"]["kubernetes.io/hostname"] == "node-7"
    assert ("affinity" in agent_container["pod"]) == (not agent.startswith("nfd-lite"))
    assert "--simulate=/etc/gpunode/scenario.yaml" in agent_container["args"]
    volumes = {volume["name"]: volume for volume in agent_container["pod"]["volumes"]}
    assert volumes["files"]["configMap"]["name"].startswith("files-"), "a changed file restarts the pods"


def test_each_agent_gets_its_own_flags(built: dict[tuple[str, str], Any]) -> None:
    flags = {agent: set(container(built, agent)["args"]) for agent in AGENTS}
    assert [agent for agent in AGENTS if "--mig-strategy=mixed" in flags[agent]] == ["gfd", "gpu-device-plugin"]
    assert [agent for agent in AGENTS if "--enable-taints=true" in flags[agent]] == ["nfd-lite"]
    assert [agent for agent in AGENTS if "--device-id-strategy=index" in flags[agent]] == ["gpu-device-plugin"]
    assert [agent for agent in AGENTS if "--config-dir=/etc/gpunode-configs" in flags[agent]] == ["gpu-device-plugin"]


def test_files_contain_the_setup(built: dict[tuple[str, str], Any]) -> None:
    assert built["ConfigMap", "files"]["data"] == {"scenario.yaml": SETUP.scenario, "config.yaml": "version: v1\n"}
    assert built["ConfigMap", "configs"]["data"] == {"default": "version: v1\n"}


def test_the_overlay_is_valid_yaml_and_json() -> None:
    text = render_overlay(Setup(), "n")["kustomization.yaml"]
    assert yaml.safe_load(text) == json.loads(text)
