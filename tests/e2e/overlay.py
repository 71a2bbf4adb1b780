"""A kustomize overlay of manifests/base with simulated GPUs. PURE."""

import json
from collections.abc import Iterator
from typing import Any

from tests.e2e.cluster.image import GPUNODE
from tests.e2e.cluster.layout import KUBELET_PORT, RUN_DIR
from tests.e2e.world import Obj, Setup

AGENTS = ("nfd-lite", "gfd", "gpu-device-plugin")
EXPORTER = "gpu-exporter"
MIG_MANAGER = "mig-manager"
TOOLKIT = "gpu-toolkit"
TOPOLOGY = "nfd-lite-topology"
VALIDATOR = "gpu-validator"
OPERATOR = "gpu-operator"
WITH_OPERATOR = "overlays/gpu-operator"
"""The overlay of manifests with this Deployment. It contains the base."""
OPTIONAL = {
    EXPORTER: ("gpu-exporter", ("account.yaml", "gpu-exporter.yaml")),
    MIG_MANAGER: ("mig-manager", ("account.yaml", "mig-manager.yaml")),
    TOOLKIT: ("gpu-toolkit", ("account.yaml", "gpu-toolkit.yaml")),
    TOPOLOGY: ("topology", ("nfd-lite-topology.yaml",)),
    VALIDATOR: ("gpu-validator", ("account.yaml", "gpu-validator.yaml")),
}
"""Agent that runs only on request -> the overlay in manifests/overlays, and its files."""
INTERVAL_MS = 1000
"""Between two readings of a GPU."""
NAMESPACE = "gpunode"
FILES, CONFIGS, RUNTIME = "/etc/gpunode", "/etc/gpunode-configs", "/run/e2e"
"""Folders in the agents' containers: the scenario and the config file; the selectable configs; the socket of containerd."""


def render_overlay(setup: Setup, node: str) -> dict[str, str]:
    """Returns the files of the overlay by name. node: where the agents run.

    The overlay expects manifests/base, manifests/crds and WITH_OPERATOR in folders with these names, and the files of OPTIONAL in a folder
    with the name of the agent.
    """
    image, _, tag = GPUNODE.partition(":")
    files = {"scenario.yaml": setup.scenario, "config.yaml": setup.config}
    extra = agents_of(setup)[len(AGENTS) :]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": [
            WITH_OPERATOR if setup.installs_drivers else "base",
            *(f"{agent}/{file}" for agent in extra for file in OPTIONAL[agent][1]),
        ],
        "images": [{"name": "gpunode", "newName": image, "newTag": tag}],
        "configMapGenerator": [
            {"name": "files", "files": sorted(files)},
            {"name": "configs", "files": [f"{name}=config-{name}" for name in sorted(setup.configs)]},
        ],
        "patches": [
            {"target": {"kind": "DaemonSet"}, "patch": json.dumps(plan_node_selector(node))},
            *(_gpu_host(agent, setup.gpu_host) for agent in agents_of(setup) if setup.gpu_host),
            *(
                {"target": {"kind": "DaemonSet", "name": agent}, "patch": json.dumps(plan_patch(agent, setup))}
                for agent in agents_of(setup)
            ),
            *([_operator()] if setup.installs_drivers else []),
        ],
    }
    named = {f"config-{name}": text for name, text in setup.configs.items()}
    return {"kustomization.yaml": json.dumps(kustomization, indent=2), **files, **named}


def agents_of(setup: Setup) -> tuple[str, ...]:
    chosen = {
        EXPORTER: setup.exports_metrics,
        MIG_MANAGER: setup.mig_state is not None,
        TOOLKIT: setup.toolkit_flags is not None,
        TOPOLOGY: setup.publishes_topology,
        VALIDATOR: setup.validates,
    }
    return (*AGENTS, *(agent for agent, is_on in chosen.items() if is_on))


def plan_node_selector(node: str) -> Obj:
    """Restricts DaemonSets to this node, in addition to their own affinity."""
    spec = {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": node}}}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "any"}, "spec": spec}


def _gpu_host(agent: str, folder: str) -> Obj:
    """Mounts a folder in place of /sys of the host, so that an agent discovers the GPUs of a driver image."""
    volumes = [{"name": "sys", "hostPath": {"path": folder}}]
    patch = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": agent}}
    content = json.dumps({**patch, "spec": {"template": {"spec": {"volumes": volumes}}}})
    return {"target": {"kind": "DaemonSet", "name": agent}, "patch": content}


def _operator() -> Obj:
    """Uses the image that the node already has, also for driver pods."""
    container = "/spec/template/spec/containers/0"
    flags = (f"--driver-manager-image={GPUNODE}", "--driver-manager-pull-policy=Never")
    patch = [
        _add(f"{container}/imagePullPolicy", "Never"),
        _add(f"{container}/readinessProbe/periodSeconds", 1),
        *(_add(f"{container}/args/-", flag) for flag in flags),
    ]
    return {"target": {"kind": "Deployment", "name": OPERATOR}, "patch": json.dumps(patch)}


def plan_patch(agent: str, setup: Setup) -> list[Obj]:
    """Uses the image that the node already has, mounts the folders, and probes readiness often because tests wait for it."""
    pod = "/spec/template/spec"
    container = f"{pod}/containers/0"
    return [
        _add(f"{container}/imagePullPolicy", "Never"),
        _add(f"{container}/readinessProbe/periodSeconds", 1),
        *_mounted(pod, container, {"name": "files", "configMap": {"name": "files"}}, FILES, read_only=True),
        *_mounted(pod, container, {"name": "configs", "configMap": {"name": "configs"}}, CONFIGS, read_only=True),
        *([_add(f"{container}/resources", {})] if setup.publishes_topology else []),
        *(_mps(pod, container, setup.mps) if setup.mps and agent == "gpu-device-plugin" else ()),
        *(_runtime(pod, container) if agent == VALIDATOR else ()),
        *(_add(f"{container}/args/-", flag) for flag in plan_flags(agent, setup)),
    ]


def plan_flags(agent: str, setup: Setup) -> tuple[str, ...]:
    config = f"--config-file={FILES}/config.yaml"
    flags = {
        "nfd-lite": setup.nfd_flags,
        "gfd": (config, *setup.flags),
        "gpu-device-plugin": (
            f"--config-dir={CONFIGS}" if setup.configs else config,
            *setup.flags,
            *setup.plugin_flags,
            *(("--wait-for-mig-manager=true",) if setup.mig_state else ()),
        ),
        MIG_MANAGER: setup.mig_flags,
        TOOLKIT: setup.toolkit_flags or (),
        VALIDATOR: (f"--runtime-socket={RUNTIME}/containerd.sock", *setup.validator_flags),
        EXPORTER: (f"--collect-interval={INTERVAL_MS}",),
        TOPOLOGY: (f"--kubelet-config-uri=https://$(NODE_ADDRESS):{KUBELET_PORT}/configz",),
    }
    simulated = () if setup.gpu_host else (f"--simulate={FILES}/scenario.yaml",)
    return (*simulated, *flags[agent])


def _mps(pod: str, container: str, root: str) -> Iterator[Obj]:
    for name, path, mount_path in (("mps", root, "/mps"), ("mps-shm", f"{root}/shm", "/dev/shm")):
        yield from _mounted(pod, container, {"name": name, "hostPath": {"path": path}}, mount_path)


def _runtime(pod: str, container: str) -> Iterator[Obj]:
    """The folder with the socket of the containerd of the cluster."""
    yield from _mounted(pod, container, {"name": "e2e", "hostPath": {"path": str(RUN_DIR)}}, RUNTIME, read_only=True)


def _mounted(pod: str, container: str, volume: Obj, path: str, *, read_only: bool = False) -> tuple[Obj, Obj]:
    mount = {"name": volume["name"], "mountPath": path, "readOnly": read_only}
    return _add(f"{container}/volumeMounts/-", mount), _add(f"{pod}/volumes/-", volume)


def _add(path: str, value: Any) -> Obj:
    return {"op": "add", "path": path, "value": value}
