"""The values of the chart of NVIDIA's GPU Operator, version 26.7 and older, and the fields of a ClusterPolicy (its values.yaml and CRD)."""

from typing import Any, Literal

from gpunode.migrate import node_feature_discovery
from gpunode.migrate.convert import own_args, own_env, own_selector, to_amount
from gpunode.migrate.correspondence import (
    ALL_AGENTS,
    CONTEXT,
    GPU_AGENTS,
    IMAGE,
    NETWORK,
    RESOURCES,
    ConfigName,
    Correspondence,
    Env,
    HostPath,
    Mapping,
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

STAYS = "This part stays in the GPU Operator. Set it there."
CDI = "The device plugin uses CDI where the kubelet and the runtime support it. `deviceListStrategy` overrides that."
COPY = "Copy the ConfigMap to the namespace of the agents."
ONE_EXPORTER = "In the GPU Operator, set it to `false`, so that only one exporter runs."
ONE_MANAGER = "In the GPU Operator, set it to `false`, so that only one manager changes layouts."
ONE_TOOLKIT = "In the GPU Operator, set it to `false`: pods get GPUs by CDI, without NVIDIA's runtime."
NOT_SUPPORTED = "The controller of drivers does not support it."
ONE_OPERATOR = "In the GPU Operator, set it to `false`, so that only one operator installs drivers."
OWN_CONFIGS = "Create the ConfigMap yourself, with config files of mig-parted, and set `migManager.config.name`."
OTHER_VALIDATOR = (
    "The validator of the GPU Operator stays there. gpu-validator, with `validator.enabled`, has its own flags."
)
CLIENTS = f"{COPY} Services of the host stop only with `migManager.stopHostServices`."
OWN_COUNTERS = "Create the ConfigMap yourself, with the file dcgm-metrics.csv, and set `dcgmExporter.config.name`."
RULES = "Create the NodeFeatureRules yourself: they are objects of the cluster."
DRIVER_FOLDER = "/run/nvidia/driver"
"""The default of `hostPaths.driverInstallDir`."""
PARTS = (
    "ccManager clusterPolicy dcgm draDriver extraObjects fabricManager gdrcopy gds gpuCluster kataManager"
    " kataSandboxDevicePlugin nodeStatusExporter platform psa psp sandboxDevicePlugin sandboxWorkloads"
    " vfioManager vgpuDeviceManager vgpuManager"
)
NOTES = {
    "gdrcopy": f"{STAYS} For containers that use GDRCopy, set `gdrcopyEnabled`.",
    "gds": f"{STAYS} For containers that use GPUDirect Storage, set `gdsEnabled`.",
}


def _agent_rows(section: str, agent: str) -> tuple[Correspondence, ...]:
    return (
        same(f"{section}.enabled", bool),
        moved(f"{section}.args", f"{section}.extraArgs", Texts, convert=own_args(agent)),
        moved(f"{section}.env", f"{section}.extraEnv", Env, convert=own_env),
        same(f"{section}.nodeSelector", TextMap, convert=own_selector),
        moved(f"{section}.tolerations", "tolerations", Objects, ALL_AGENTS),
        moved(f"{section}.updateStrategy", "updateStrategy.type", Update, ALL_AGENTS),
        same(f"{section}.securityContext", Mapping),
        moved(f"{section}.affinity", "affinity", Mapping, GPU_AGENTS),
        missing(f"{section}.podSecurityContext", CONTEXT, message=None),
        missing(f"{section}.resources", RESOURCES, message=None),
        *(
            unnecessary(f"{section}.{name}", IMAGE)
            for name in ("image", "imagePullPolicy", "imagePullSecrets", "repository", "version")
        ),
        unnecessary(f"{section}.priorityClassName", "All agents have the class of `priorityClassName`.", message=None),
        unnecessary(f"{section}.hostNetwork", NETWORK),
    )


def _exporter_rows() -> tuple[Correspondence, ...]:
    section = "dcgmExporter"
    monitor = f"{section}.serviceMonitor"
    return (
        *(each for each in _agent_rows(section, "gpu-exporter") if each.to != f"{section}.enabled"),
        same(f"{section}.enabled", bool, ONE_EXPORTER),
        *(same(f"{section}.{name}", bool) for name in ("hostPID", "enablePodLabels", "enablePodUID")),
        same(f"{section}.config.name", str, COPY),
        *(missing(f"{section}.config.{name}", OWN_COUNTERS) for name in ("create", "data")),
        *(same(f"{monitor}.{name}", bool) for name in ("enabled", "honorLabels")),
        same(f"{monitor}.interval", str),
        same(f"{monitor}.additionalLabels", TextMap),
        same(f"{monitor}.relabelings", Objects),
        unnecessary(f"{section}.service", "The Service gpu-exporter has the port 9400."),
    )


def _mig_rows() -> tuple[Correspondence, ...]:
    section = "migManager"
    return (
        *(each for each in _agent_rows(section, "mig-manager") if each.to != f"{section}.enabled"),
        same(f"{section}.enabled", bool, ONE_MANAGER),
        same(f"{section}.config.name", str, COPY),
        *(missing(f"{section}.config.{name}", OWN_CONFIGS) for name in ("create", "data")),
        unnecessary(f"{section}.config.default", "A Node without the label nvidia.com/mig.config keeps its layouts."),
        same(f"{section}.gpuClientsConfig.name", str, CLIENTS),
    )


def _toolkit_rows() -> tuple[Correspondence, ...]:
    section = "toolkit"
    return (
        *(each for each in _agent_rows(section, "gpu-toolkit") if each.to != f"{section}.enabled"),
        same(f"{section}.enabled", bool, ONE_TOOLKIT),
        same(f"{section}.installDir", HostPath),
    )


def _validator_rows() -> tuple[Correspondence, ...]:
    section = "validator"
    return (
        *(
            missing(f"{section}.{name}", OTHER_VALIDATOR)
            for name in ("args", "cuda", "driver", "env", "hostNetwork", "plugin", "toolkit")
        ),
        missing(f"{section}.resources", RESOURCES, message=None),
        *(
            unnecessary(f"{section}.{name}", IMAGE)
            for name in ("image", "imagePullPolicy", "imagePullSecrets", "repository", "version")
        ),
    )


def _driver_rows() -> tuple[Correspondence, ...]:
    section = "driver"
    return (
        same(f"{section}.enabled", bool, ONE_OPERATOR),
        *(same(f"{section}.{name}", str) for name in ("version", "repository", "image", "secretEnv")),
        same(f"{section}.imagePullPolicy", PullPolicy),
        *(same(f"{section}.{name}", Texts) for name in ("imagePullSecrets", "args")),
        same(f"{section}.kernelModuleType", Literal["auto", "open", "proprietary"]),
        same(f"{section}.usePrecompiled", bool),
        same(f"{section}.env", Env),
        *(
            same(f"{section}.{name}", Mapping)
            for name in ("resources", "startupProbe", "livenessProbe", "readinessProbe", "manager", "upgradePolicy")
        ),
        *(same(f"{section}.{name}", TextMap) for name in ("labels", "annotations", "nodeSelector")),
        *(same(f"{section}.{name}.name", str, COPY) for name in ("certConfig", "kernelModuleConfig")),
        same(f"{section}.repoConfig.configMapName", str, COPY),
        missing(f"{section}.useOpenKernelModules", "Set `driver.kernelModuleType`."),
        missing(f"{section}.rdma", NOT_SUPPORTED),
        missing(f"{section}.licensingConfig", NOT_SUPPORTED),
        missing(f"{section}.virtualTopology", NOT_SUPPORTED),
        unnecessary(f"{section}.hostNetwork", NETWORK),
        unnecessary(f"{section}.nvidiaDriverCRD", "Drivers are always NVIDIADriver objects."),
    )


def _operator_rows() -> tuple[Correspondence, ...]:
    section = "operator"
    images = ("image", "imagePullPolicy", "imagePullSecrets", "repository", "version", "initContainer")
    return (
        moved(f"{section}.runtimeClass", "runtimeClassName", str, GPU_AGENTS),
        same(f"{section}.affinity", Mapping),
        same(f"{section}.tolerations", Objects),
        missing(f"{section}.resources", RESOURCES, message=None),
        *(unnecessary(f"{section}.{name}", IMAGE) for name in images),
        unnecessary(f"{section}.upgradeCRD", "Helm does not change CRDs: apply manifests/crds before an upgrade."),
        unnecessary(f"{section}.cleanupCRD", "Helm does not delete CRDs."),
        *(
            unnecessary(f"{section}.{name}", "The controller of drivers does not need it.")
            for name in (
                "annotations",
                "cleanupOnDelete",
                "defaultGPUMode",
                "defaultRuntime",
                "labels",
                "logging",
                "use_ocp_driver_toolkit",
                "priorityClassName",
            )
        ),
    )


ROWS: tuple[Correspondence, ...] = (
    moved("mig.strategy", "migStrategy", MigStrategy, message=None),
    missing("mig", "Set `migStrategy`."),
    moved(
        "hostPaths.driverInstallDir",
        "nvidiaDriverRoot",
        HostPath,
        f"If it is not {DRIVER_FOLDER}, where the agents find the driver.",
        has_rule=True,
        message=None,
    ),
    moved(
        "hostPaths.rootFS", "nvidiaDriverRoot", HostPath, "If the hosts have the driver.", has_rule=True, message=None
    ),
    moved("hostPaths.kubeletRootDir", "kubeletRootDir", HostPath, message=None),
    missing("hostPaths", f"Set `nvidiaDriverRoot` to the folder of the driver, for example {DRIVER_FOLDER}."),
    moved("daemonsets.labels", "podLabels", TextMap, ALL_AGENTS, message=None),
    moved("daemonsets.annotations", "podAnnotations", TextMap, ALL_AGENTS, message=None),
    moved("daemonsets.priorityClassName", "priorityClassName", str, ALL_AGENTS, message=None),
    moved("daemonsets.tolerations", "tolerations", Objects | None, ALL_AGENTS, is_replaced_by_empty=True, message=None),
    moved("daemonsets.updateStrategy", "updateStrategy.type", Update, ALL_AGENTS, message=None),
    moved(
        "daemonsets.rollingUpdate.maxUnavailable",
        "updateStrategy.rollingUpdate.maxUnavailable",
        int | str,
        ALL_AGENTS,
        convert=to_amount,
        message=None,
    ),
    missing(
        "daemonsets", "Set `tolerations`, `priorityClassName`, `updateStrategy`, `podLabels` and `podAnnotations`."
    ),
    *_operator_rows(),
    same("nfd.enabled", bool, "Without nfd-lite, set `gateLabel: nvidia.com/gpu.present=true`.", has_rule=True),
    missing("nfd.nodefeaturerules", RULES),
    *_agent_rows("devicePlugin", "gpu-device-plugin"),
    moved(
        "devicePlugin.mps.root", "mps.root", HostPath, "MPS also needs `privileged: true`.", has_rule=True, message=None
    ),
    missing("devicePlugin.mps", "Set `mps.root`."),
    moved(
        "devicePlugin.config.data",
        "config.map",
        dict[ConfigName, str | dict[str, Any] | None],
        "With `devicePlugin.config.create`.",
        has_rule=True,
        message=None,
    ),
    moved(
        "devicePlugin.config.name",
        "config.name",
        str,
        f"{COPY} Not with `devicePlugin.config.create`.",
        has_rule=True,
        message=None,
    ),
    moved("devicePlugin.config.default", "config.default", str, has_rule=True, message=None),
    unnecessary(
        "devicePlugin.config.create", "The chart creates the ConfigMap of `config.map`.", has_rule=True, message=None
    ),
    missing("devicePlugin.config", "Set `config.name` or `config.map`, and `config.default`."),
    *_agent_rows("gfd", "gfd"),
    *_exporter_rows(),
    *_mig_rows(),
    *_toolkit_rows(),
    *_validator_rows(),
    *(unnecessary(f"cdi.{name}", CDI) for name in ("default", "enabled", "nriPluginEnabled")),
    *_driver_rows(),
    *(missing(part, NOTES.get(part, STAYS)) for part in PARTS.split()),
    *node_feature_discovery.rows_below("node-feature-discovery", has_messages=False),
    missing(
        "node-feature-discovery",
        "Set `nfd.config` to its `worker.config`, and `nfd.enableTaints`, `nfd.extraLabelNs`, `nfd.denyLabelNs`.",
    ),
    unnecessary("global", "The chart has no global values.", message=None),
)
