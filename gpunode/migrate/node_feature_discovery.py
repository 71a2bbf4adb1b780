"""The values of the chart of Node Feature Discovery, version 0.19 and older (its values.yaml), also as a section of NVIDIA's charts."""

from gpunode.migrate.convert import false_only, omit, own_args, own_env
from gpunode.migrate.correspondence import (
    ALL_AGENTS,
    BUILD,
    CONTEXT,
    IMAGE,
    NAMES,
    NAMESPACE,
    NETWORK,
    RESOURCES,
    Correspondence,
    Env,
    Mapping,
    Message,
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
from node_core.values import replace

MASTER = "Each nfd-lite evaluates the rules and labels its own Node."
OWN = "The section nfd has defaults for the values of the worker that have no counterpart."
NODE = "Labels and NodeFeature objects belong to their Node."
TOLERATED = "The default of `tolerations`, which applies to all agents, tolerates every taint."
CRDS = "Helm installs the CRDs, except with `--skip-crds`."
STATE_DIR = "The chart mounts this folder, which contains the Secrets of pods, only on request. Control groups are followed without it."
FIXED = "The agents have fixed ports."
TLS = "Set `metrics.tlsSecret`. There is no connection between a worker and a master."

_WORKER: tuple[Correspondence, ...] = (
    moved("worker.config", "nfd.config", Mapping, "It is nfd-worker.conf.", has_rule=True),
    moved("worker.options", "nfd.config", Mapping, "It is nfd-worker.conf.", has_rule=True),
    moved("worker.enable", "nfd.enabled", bool, "If it is `false`.", convert=false_only, message=None),
    moved("worker.nodeSelector", "nfd.nodeSelector", TextMap, has_rule=True),
    moved("worker.affinity", "nfd.affinity", Mapping, has_rule=True),
    moved("worker.extraArgs", "nfd.extraArgs", Texts, convert=own_args("nfd-lite")),
    moved("worker.extraEnvs", "nfd.extraEnv", Env, convert=own_env),
    moved("worker.annotations", "podAnnotations", TextMap, ALL_AGENTS, message=None),
    moved("worker.updateStrategy.type", "updateStrategy.type", Update, ALL_AGENTS, message=None),
    moved("worker.updateStrategy.rollingUpdate", "updateStrategy.rollingUpdate", Mapping, ALL_AGENTS, message=None),
    moved("worker.priorityClassName", "priorityClassName", str, ALL_AGENTS, message=None),
    moved(
        "worker.tolerations",
        "tolerations",
        Objects,
        f"Only if `tolerations` is set. {TOLERATED}",
        has_rule=True,
        message=None,
    ),
    unnecessary("worker.hostNetwork", NETWORK, message=None),
    unnecessary("worker.resources", RESOURCES, message=None),
    missing("worker.initContainers", "The pods have no init containers.", message=None),
    missing(
        "worker.mountUsrSrc",
        "The pods do not mount /usr/src: name another file with the kernel config in `nfd.config.sources.kernel.kconfigFile`.",
        message=None,
    ),
    unnecessary("worker", OWN),
)
_MASTER: tuple[Correspondence, ...] = (
    moved(
        "master.config",
        "nfd.config",
        Mapping,
        "Its extraLabelNs becomes `nfd.extraLabelNs`. docs/how-to/migrate.md lists its keys.",
        has_rule=True,
    ),
    moved("master.enableTaints", "nfd.enableTaints", bool),
    moved("master.extraLabelNs", "nfd.extraLabelNs", Texts),
    moved("master.denyLabelNs", "nfd.denyLabelNs", Texts),
    moved("master.extraArgs", "nfd.extraArgs", Texts, convert=own_args("nfd-lite")),
    moved("master.extraEnvs", "nfd.extraEnv", Env, convert=own_env),
    missing("master.instance", "This chart installs one instance for each cluster."),
    unnecessary("master", MASTER),
)
_UPDATER = "topologyUpdater"
_TOPOLOGY: tuple[Correspondence, ...] = (
    same(f"{_UPDATER}.enable", bool),
    same(f"{_UPDATER}.config", Mapping),
    *(same(f"{_UPDATER}.{name}", str) for name in ("updateInterval", "watchNamespace")),
    same(f"{_UPDATER}.podSetFingerprint", bool),
    *(same(f"{_UPDATER}.{name}", str) for name in ("kubeletConfigPath", "kubeletPodResourcesSockPath")),
    same(f"{_UPDATER}.kubeletStateDir", str, STATE_DIR, convert=omit("/var/lib/kubelet")),
    same(f"{_UPDATER}.nodeSelector", TextMap),
    same(f"{_UPDATER}.affinity", Mapping),
    same(f"{_UPDATER}.securityContext", Mapping),
    same(f"{_UPDATER}.extraArgs", Texts, convert=own_args("nfd-lite-topology")),
    moved(f"{_UPDATER}.extraEnvs", f"{_UPDATER}.extraEnv", Env, convert=own_env),
    moved(f"{_UPDATER}.annotations", "podAnnotations", TextMap, ALL_AGENTS),
    missing(f"{_UPDATER}.tolerations", f"Set `tolerations`. {TOLERATED}"),
    missing(f"{_UPDATER}.podSecurityContext", CONTEXT),
    unnecessary(f"{_UPDATER}.resources", RESOURCES, message=None),
    unnecessary(f"{_UPDATER}.createCRDs", CRDS),
    unnecessary(f"{_UPDATER}.hostNetwork", NETWORK),
    *(
        unnecessary(f"{_UPDATER}.{name}", "The chart always creates the account and its rights.")
        for name in ("serviceAccount", "rbac")
    ),
    *(unnecessary(f"{_UPDATER}.{name}", FIXED) for name in ("metricsPort", "healthPort", "port")),
    *(
        unnecessary(f"{_UPDATER}.{name}", "The chart has probes and a DNS policy of its own.")
        for name in ("livenessProbe", "readinessProbe", "dnsPolicy")
    ),
    *(
        unnecessary(f"{_UPDATER}.{name}", "The DaemonSets have the defaults of Kubernetes.")
        for name in ("revisionHistoryLimit", "daemonsetAnnotations")
    ),
)
GC_DEPLOYMENT = (
    *(
        "affinity",
        "annotations",
        "deploymentAnnotations",
        "dnsPolicy",
        "extraArgs",
        "extraEnvs",
        "healthPort",
        "hostNetwork",
    ),
    *(
        "livenessProbe",
        "metricsPort",
        "nodeSelector",
        "podDisruptionBudget",
        "podSecurityContext",
        "port",
        "priorityClassName",
    ),
    *(
        "rbac",
        "readinessProbe",
        "replicaCount",
        "resources",
        "revisionHistoryLimit",
        "securityContext",
        "serviceAccount",
    ),
    "tolerations",
)
"""The values of the Deployment of nfd-gc."""
_OPERATOR: tuple[Correspondence, ...] = (
    same("gc.enable", bool),
    same("gc.interval", str),
    *(unnecessary(f"gc.{name}", "The section operator has the values of the Deployment.") for name in GC_DEPLOYMENT),
    same("featureGates.NodeFeatureGroupAPI", bool),
    missing(
        "featureGates.DisableAutoPrefix",
        "A name without a namespace always gets feature.node.kubernetes.io/. Write the namespace in the rule.",
    ),
    unnecessary("featureGates.NodeFeatureAPI", "`publish: node-feature` writes NodeFeature objects."),
)
_REST: tuple[Correspondence, ...] = (
    same("prometheus.enable", bool),
    same("prometheus.labels", TextMap),
    same("prometheus.scrapeInterval", str),
    missing("tls", TLS),
    unnecessary("topologyGC", NODE),
    unnecessary(
        "enableNodeFeatureApi", "Labels are written to the Node. `publish: node-feature` writes NodeFeature objects."
    ),
    unnecessary("nodeFeatureRule", CRDS),
    unnecessary("checksumValuesOnly", "The agents read changed ConfigMaps without a restart."),
    unnecessary("postDeleteCleanup", "`cleanup.enabled` removes what the agents wrote."),
)

ROWS: tuple[Correspondence, ...] = (
    missing("image.repository", BUILD, message=None),
    unnecessary("image.tag", IMAGE, message=None),
    same("image.pullPolicy", PullPolicy),
    same("imagePullSecrets", Objects),
    moved("global.imagePullSecrets", "imagePullSecrets", Objects, message=None),
    same("priorityClassName", str, ALL_AGENTS),
    *_WORKER,
    *_MASTER,
    *_TOPOLOGY,
    *_OPERATOR,
    *_REST,
    *(unnecessary(path, NAMES, message=Message.REFUSED) for path in ("nameOverride", "fullnameOverride")),
    unnecessary("namespaceOverride", NAMESPACE, message=Message.REFUSED),
)


def rows_below(section: str, *, has_messages: bool = True) -> tuple[Correspondence, ...]:
    """Returns the values of the chart as a section of another chart. has_messages: False if the chart reports the whole section."""
    rows = (
        *(unnecessary(name, IMAGE) for name in ("image", "imagePullSecrets")),
        moved("priorityClassName", "priorityClassName", str, ALL_AGENTS),
        *(unnecessary(name, NAMES) for name in ("nameOverride", "fullnameOverride")),
        unnecessary("namespaceOverride", NAMESPACE),
        moved("deploy", "nfd.enabled", bool, has_rule=True),
        *_WORKER,
        *_MASTER,
        *(replace(each, message=None) for each in (*_TOPOLOGY, *_OPERATOR)),
        *_REST,
        missing("prometheus", "Set `prometheus`."),
        *(missing(name, f"Set `{name}`.") for name in ("topologyUpdater", "gc", "featureGates")),
    )
    return tuple(
        replace(each, path=f"{section}.{each.path}", message=each.message if has_messages else None) for each in rows
    )
