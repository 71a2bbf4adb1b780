"""The template of a driver pod: our init container prepares the node, and NVIDIA's container loads the driver. PURE.

Source: NVIDIA GPU Operator documentation; the README of NVIDIA's k8s-driver-manager for the environment of the init container.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gpu_operator.plan.node_facts import REFUSED_VALUES
from gpu_operator.plan.pools import NodePool
from gpu_operator.render.image import driver_image, manager_image
from gpu_operator.render.mounts import DRIVER_MOUNTS, HOST_VOLUMES, MANAGER_MOUNTS, config_mounts, config_volumes
from gpu_operator.spec import RESERVED_ENV, DriverSpec, EnvVar, Probe
from gpu_operator.view import (
    APP,
    COMPONENT,
    DEPLOY_DRIVER,
    DEPLOY_OPERANDS,
    DRIVER_APP,
    DRIVER_COMPONENT,
    GPU_PRESENT,
    OWNER,
)

MANAGER_CONTAINER, DRIVER_CONTAINER = "gpu-driver-manager", "nvidia-driver-ctr"
PRECOMPILED = "nvidia.com/precompiled"
INSTANCE = "app.kubernetes.io/instance"
TOLERATIONS = (
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "nvidia.com/gpu-not-ready", "operator": "Exists"},
)
"""The second one is the startup taint of gpu-device-plugin, which the plugin removes only when the driver is there."""
READY_FILE = "/run/nvidia/validations/.driver-ctr-ready"
"""Third-party pods wait for this file. Its entries name the modules that the driver pod loads in addition."""
_READY_ENTRIES = r"GDRCOPY_ENABLED: false\nGDS_ENABLED: false\nGPU_DIRECT_RDMA_ENABLED: false\n"
_STARTED = f"nvidia-smi && mkdir -p {READY_FILE.rpartition('/')[0]} && printf '{_READY_ENTRIES}' > {READY_FILE}"
_STARTUP = Probe(initial_delay_seconds=60, timeout_seconds=60, period_seconds=10, failure_threshold=120)
_READINESS = Probe(timeout_seconds=30, period_seconds=60, failure_threshold=3)
_MANAGER_ENV = {
    "ENABLE_GPU_POD_EVICTION": "true",
    "ENABLE_AUTO_DRAIN": "false",
    "DRAIN_USE_FORCE": "false",
    "DRAIN_POD_SELECTOR_LABEL": "",
    "DRAIN_TIMEOUT_SECONDS": "0s",
    "DRAIN_DELETE_EMPTYDIR_DATA": "false",
}
"""The defaults of NVIDIA's chart. The upgrade policy has no part in them: otherwise its change would make every driver pod outdated."""

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorImages:
    """What the pods take from gpu-operator. manager: the image of the init container. account: the service account of the pods."""

    manager: str
    account: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()


def render_template(name: str, spec: DriverSpec, pool: NodePool, images: OperatorImages) -> Fields:
    """Renders the pod template. name: of the DaemonSet."""
    secrets = dict.fromkeys((*spec.image_pull_secrets, *spec.manager.image_pull_secrets, *images.pull_secrets))
    main = _driver_container(spec, pool)
    digest = _digest(main)
    main["env"] = [*main["env"], {"name": "DRIVER_CONFIG_DIGEST", "value": digest}]
    return {
        "metadata": {
            "labels": {**spec.labels, **pod_labels(name, spec, pool)},
            "annotations": {**spec.annotations, "kubectl.kubernetes.io/default-container": DRIVER_CONTAINER},
        },
        "spec": {
            "serviceAccountName": images.account,
            "hostPID": True,
            "priorityClassName": spec.priority_class_name,
            "nodeSelector": {GPU_PRESENT: "true", **pool.node_labels},
            "affinity": _affinity(),
            "tolerations": list(TOLERATIONS if spec.tolerations is None else spec.tolerations),
            **({"imagePullSecrets": [{"name": each} for each in secrets]} if secrets else {}),
            "initContainers": [_manager_container(spec, images, digest)],
            "containers": [main],
            "volumes": [*HOST_VOLUMES, *config_volumes(spec)],
        },
    }


def selector_labels(name: str) -> dict[str, str]:
    """Returns the labels by which a DaemonSet finds its pods. They never change."""
    return {APP: DRIVER_APP, INSTANCE: name}


def pod_labels(name: str, spec: DriverSpec, pool: NodePool) -> dict[str, str]:
    precompiled = str(spec.use_precompiled).lower()
    return {**selector_labels(name), COMPONENT: DRIVER_COMPONENT, PRECOMPILED: precompiled, OWNER: pool.driver}


def _affinity() -> Fields:
    """One driver pod on each host, also while a DaemonSet replaces another. None on Nodes with a driver of their own."""
    refused = [
        {"key": DEPLOY_DRIVER, "operator": "NotIn", "values": list(REFUSED_VALUES)},
        {"key": DEPLOY_OPERANDS, "operator": "NotIn", "values": ["false"]},
    ]
    others = {"labelSelector": {"matchLabels": {COMPONENT: DRIVER_COMPONENT}}, "topologyKey": "kubernetes.io/hostname"}
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": refused}]}
        },
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [others]},
    }


def _manager_container(spec: DriverSpec, images: OperatorImages, digest: str) -> Fields:
    version = "" if spec.version.startswith("sha256:") else spec.version
    settings = {**_MANAGER_ENV, "DRIVER_CONFIG_DIGEST": digest, "DRIVER_VERSION": version}
    return {
        "name": MANAGER_CONTAINER,
        "image": manager_image(spec.manager, images.manager),
        "imagePullPolicy": spec.manager.image_pull_policy or images.pull_policy,
        "command": ["gpu-driver-manager"],
        "args": ["uninstall_driver", *spec.manager.args],
        "env": [*_own_env(), *_merge_env(settings, spec.manager.env)],
        "securityContext": {"privileged": True},
        "volumeMounts": list(MANAGER_MOUNTS),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _driver_container(spec: DriverSpec, pool: NodePool) -> Fields:
    settings = {"KERNEL_MODULE_TYPE": spec.module_type}
    probes = {
        "startupProbe": _probe(_STARTED, _STARTUP, spec.startup_probe),
        "readinessProbe": _probe("nvidia-smi -L", _READINESS, spec.readiness_probe),
        **({"livenessProbe": _probe("nvidia-smi -L", _READINESS, spec.liveness_probe)} if spec.liveness_probe else {}),
    }
    return {
        "name": DRIVER_CONTAINER,
        "image": driver_image(spec, pool),
        "imagePullPolicy": spec.image_pull_policy,
        "command": ["nvidia-driver"],
        "args": ["init", *spec.args],
        "env": [*_own_env(), *_merge_env(settings, spec.env)],
        **({"envFrom": [{"secretRef": {"name": spec.secret_env}}]} if spec.secret_env else {}),
        "securityContext": {"privileged": True, "seLinuxOptions": {"level": "s0"}},
        **({"resources": spec.resources} if spec.resources else {}),
        "volumeMounts": [*DRIVER_MOUNTS, *config_mounts(spec, pool.os_id)],
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/sh", "-c", f"rm -f {READY_FILE}"]}}},
        **probes,
    }


def _own_env() -> list[Fields]:
    """The facts of its pod that a container needs."""
    return [
        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "OPERATOR_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    ]


def _merge_env(settings: Mapping[str, str], more: Iterable[EnvVar]) -> list[Fields]:
    """Returns the variables. Those of the user have precedence, unless a pod needs another value."""
    merged = {**settings, **{each.name: each.value for each in more if each.name not in RESERVED_ENV}}
    return [{"name": name, **({"value": value} if value else {})} for name, value in merged.items()]


def _probe(command: str, usual: Probe, wanted: Probe) -> Fields:
    times = {
        "initialDelaySeconds": wanted.initial_delay_seconds
        if wanted.initial_delay_seconds is not None
        else usual.initial_delay_seconds,
        "timeoutSeconds": wanted.timeout_seconds or usual.timeout_seconds,
        "periodSeconds": wanted.period_seconds or usual.period_seconds,
        "successThreshold": wanted.success_threshold or usual.success_threshold,
        "failureThreshold": wanted.failure_threshold or usual.failure_threshold,
    }
    return {
        "exec": {"command": ["/bin/sh", "-c", command]},
        **{key: value for key, value in times.items() if value is not None},
    }


def _digest(container: Fields) -> str:
    """Returns the hash of what decides which driver is loaded. Probes and limits do not: the same driver stays loaded."""
    decisive = {key: container.get(key) for key in ("image", "args", "env", "envFrom", "volumeMounts")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
