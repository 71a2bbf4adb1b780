"""The resources of the simulated API server. PURE."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """status: has a /status subresource. generation: a change of spec increments metadata.generation. custom: defined by a CRD."""

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short: tuple[str, ...] = ()
    status: bool = False
    generation: bool = False
    custom: bool = False

    @property
    def name(self) -> str:
        """The plural with its group: `nodes`, `leases.coordination.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


_NFD = "nfd.k8s-sigs.io"

RESOURCES = (
    Resource(plural="nodes", kind="Node", namespaced=False, short=("no",), status=True),
    Resource(plural="pods", kind="Pod", short=("po",), status=True, generation=True),
    Resource(plural="events", kind="Event", short=("ev",)),
    Resource(plural="namespaces", kind="Namespace", namespaced=False, short=("ns",), status=True),
    Resource(plural="configmaps", kind="ConfigMap", short=("cm",)),
    Resource(plural="leases", kind="Lease", group="coordination.k8s.io"),
    Resource(plural="nodefeatures", kind="NodeFeature", generation=True, custom=True, group=_NFD, version="v1alpha1"),
    Resource(
        plural="nodefeaturerules",
        kind="NodeFeatureRule",
        namespaced=False,
        short=("nfr",),
        generation=True,
        custom=True,
        group=_NFD,
        version="v1alpha1",
    ),
    Resource(
        plural="nodefeaturegroups",
        kind="NodeFeatureGroup",
        short=("nfg",),
        status=True,
        generation=True,
        custom=True,
        group=_NFD,
        version="v1alpha1",
    ),
    Resource(
        plural="noderesourcetopologies",
        kind="NodeResourceTopology",
        namespaced=False,
        short=("node-res-topo",),
        generation=True,
        custom=True,
        group="topology.node.k8s.io",
        version="v1alpha2",
    ),
    Resource(
        plural="nvidiadrivers",
        kind="NVIDIADriver",
        namespaced=False,
        short=("nvd", "nvdriver", "nvdrivers"),
        status=True,
        generation=True,
        custom=True,
        group="nvidia.com",
        version="v1alpha1",
    ),
    Resource(plural="daemonsets", kind="DaemonSet", group="apps", short=("ds",), status=True, generation=True),
    Resource(plural="controllerrevisions", kind="ControllerRevision", group="apps"),
    Resource(plural="resourceslices", kind="ResourceSlice", group="resource.k8s.io", namespaced=False, generation=True),
    Resource(plural="deviceclasses", kind="DeviceClass", group="resource.k8s.io", namespaced=False, generation=True),
    Resource(plural="resourceclaims", kind="ResourceClaim", group="resource.k8s.io", status=True),
)

UNLISTED = (
    Resource(
        plural="nodefeaturerules",
        kind="NodeFeatureRule",
        generation=True,
        custom=True,
        group="nfd.openshift.io",
        version="v1alpha1",
    ),
    Resource(plural="deployments", kind="Deployment", group="apps", short=("deploy",), status=True, generation=True),
    Resource(plural="replicasets", kind="ReplicaSet", group="apps", short=("rs",), status=True, generation=True),
    Resource(plural="statefulsets", kind="StatefulSet", group="apps", short=("sts",), status=True, generation=True),
    Resource(plural="jobs", kind="Job", group="batch", status=True, generation=True),
    Resource(plural="cronjobs", kind="CronJob", group="batch", short=("cj",), status=True, generation=True),
)
"""Resources that discovery does not list: kubectl prefers those of upstream, and no controller creates the pods of a workload."""

_BY_NAME = {resource.name: resource for resource in (*RESOURCES, *UNLISTED)}


def resource_named(name: str) -> Resource:
    """Returns the resource with the name `plural.group`. Raises KeyError for an unknown name, which is a bug of the caller."""
    return _BY_NAME[name]


def find_resource(group: str, version: str, plural: str) -> Resource | None:
    for resource in (*RESOURCES, *UNLISTED):
        if (resource.group, resource.version, resource.plural) == (group, version, plural):
            return resource
    return None


def group_versions() -> tuple[tuple[str, str], ...]:
    """Returns the distinct (group, version) pairs of the resources. The core group is first."""
    return tuple(sorted({(resource.group, resource.version) for resource in RESOURCES}))
