"""The values of the chart of NVIDIA's device plugin, version 0.20 and older (its values.yaml and README)."""

from typing import Any, Literal

from gpunode.migrate import node_feature_discovery
from gpunode.migrate.convert import own_env, to_list
from gpunode.migrate.correspondence import (
    ALL_AGENTS,
    BUILD,
    CONTEXT,
    GPU_AGENTS,
    IMAGE,
    NAMES,
    NAMESPACE,
    NETWORK,
    RESOURCES,
    ConfigName,
    Correspondence,
    DeviceIdStrategy,
    DeviceListStrategies,
    Env,
    Fallbacks,
    HostPath,
    Mapping,
    Message,
    MigStrategy,
    Objects,
    PullPolicy,
    TextMap,
    Texts,
    Update,
    missing,
    moved,
    same,
    unnecessary,
)

PODS = "The labels of pods are fixed."
MAIN_ENV = "The chart sets NVIDIA_VISIBLE_DEVICES and NVIDIA_DRIVER_CAPABILITIES itself."
AFFINITY: dict[str, Any] = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}
                for key, value in (
                    ("feature.node.kubernetes.io/pci-10de.present", "true"),
                    ("feature.node.kubernetes.io/cpu-model.vendor_id", "NVIDIA"),
                    ("nvidia.com/gpu.present", "true"),
                )
            ]
        }
    }
}
"""The default of `affinity`."""

ROWS: tuple[Correspondence, ...] = (
    missing("image.repository", BUILD, message=None),
    unnecessary("image.tag", IMAGE, message=None),
    same("image.pullPolicy", PullPolicy),
    same("imagePullSecrets", Objects),
    same("nodeSelector", TextMap, GPU_AGENTS, has_rule=True),
    same("affinity", Mapping | None, GPU_AGENTS, has_rule=True),
    same("tolerations", Objects | None, ALL_AGENTS, is_replaced_by_empty=True),
    same("priorityClassName", str | None, ALL_AGENTS, is_replaced_by_empty=True),
    same("updateStrategy.type", Update, ALL_AGENTS),
    same("updateStrategy.rollingUpdate", Mapping, ALL_AGENTS),
    same("podAnnotations", TextMap, ALL_AGENTS),
    same("migStrategy", MigStrategy),
    same("deviceListStrategy", DeviceListStrategies, "The default is `auto` here.", convert=to_list),
    same("deviceIDStrategy", DeviceIdStrategy),
    same(
        "deviceDiscoveryStrategy",
        Literal["auto", "nvml", "tegra", "vfio"],
        "`vfio` is a flag of gfd here: `gfd.extraArgs: [--device-discovery-strategy=vfio]`.",
        has_rule=True,
    ),
    same("nvidiaDriverRoot", HostPath),
    same("nvidiaDevRoot", HostPath),
    same("gdrcopyEnabled", bool),
    same("gdsEnabled", bool),
    same("mofedEnabled", bool),
    same("compatWithCPUManager", bool, "It does not need privileges here."),
    same("mps.root", HostPath, "MPS also needs `privileged: true`.", has_rule=True),
    same("cdi.nvidiaHookPath", HostPath),
    same("cdi.featureFlags", Texts, convert=to_list),
    same("runtimeClassName", str, GPU_AGENTS),
    same("config.map", dict[ConfigName, str | dict[str, Any] | None], has_rule=True),
    same("config.name", str, "The ConfigMap must be in the namespace of the agents.", has_rule=True),
    same("config.default", str, has_rule=True),
    same("config.fallbackStrategies", Fallbacks),
    same("nfd.enabled", bool, "If nfd-lite shall not run, set `gateLabel` to the label of GPU nodes.", has_rule=True),
    same("gfd.enabled", bool),
    same("gfd.noTimestamp", bool),
    moved("noTimestamp", "gfd.noTimestamp", bool),
    same("gfd.sleepInterval", str),
    moved("sleepInterval", "gfd.sleepInterval", str),
    same("gfd.securityContext", Mapping),
    same("devicePlugin.enabled", bool),
    moved("securityContext", "devicePlugin.securityContext", Mapping, "Each agent has a security context of its own."),
    missing("podSecurityContext", CONTEXT),
    missing("resources", RESOURCES),
    moved("devicePlugin.containers.main.env", "devicePlugin.extraEnv", Env, MAIN_ENV, convert=own_env, message=None),
    missing("devicePlugin.containers", f"Set `devicePlugin.extraEnv`. {MAIN_ENV}"),
    *(moved(f"{section}.runtimeClassName", "runtimeClassName", str, GPU_AGENTS) for section in ("devicePlugin", "gfd")),
    unnecessary("failOnInitError", "An agent without a driver continues and tries again."),
    unnecessary("mps.enableHostPID", "The device plugin starts the MPS daemons itself."),
    *(
        unnecessary(path, NETWORK)
        for path in ("devicePlugin.enableHostNetwork", "gfd.enableHostNetwork", "mps.enableHostNetwork")
    ),
    unnecessary("selectorLabelsOverride", PODS),
    unnecessary("componentSelectorLabels", PODS),
    unnecessary("allowDefaultNamespace", "Every namespace is allowed."),
    unnecessary("legacyDaemonsetAPI", "Kubernetes 1.16 removed this API.", message=Message.REFUSED),
    *(unnecessary(path, NAMES, message=Message.REFUSED) for path in ("nameOverride", "fullnameOverride")),
    *(unnecessary(path, NAMESPACE, message=Message.REFUSED) for path in ("namespaceOverride", "gfd.namespaceOverride")),
    *(unnecessary(path, NAMES) for path in ("gfd.nameOverride", "gfd.fullnameOverride")),
    *node_feature_discovery.rows_below("nfd"),
    unnecessary("global", "The chart has no global values.", message=None),
)
