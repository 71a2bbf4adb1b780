"""The resources that the stand-in serves. One line adds one. PURE."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """status: has a /status subresource. generation: a change of spec counts up metadata.generation. custom: defined by a CRD."""

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short: tuple[str, ...] = ()
    status: bool = False
    generation: bool = False
    custom: bool = False
    subresources: tuple[str, ...] = ()

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

    @property
    def every_subresource(self) -> tuple[str, ...]:
        return (("status",) if self.status else ()) + self.subresources


_NFD = "nfd.k8s-sigs.io"

RESOURCES = (
    Resource(plural="nodes", kind="Node", namespaced=False, short=("no",), status=True),
    Resource(
        plural="pods", kind="Pod", short=("po",), status=True, generation=True, subresources=("binding", "eviction")
    ),
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
)

_BY_NAME = {resource.name: resource for resource in RESOURCES}


def resource_named(name: str) -> Resource:
    """The resource of a plural with its group. KeyError when it is not served: a mistake of the caller, not of a client."""
    return _BY_NAME[name]


def find_resource(group: str, version: str, plural: str) -> Resource | None:
    for resource in RESOURCES:
        if (resource.group, resource.version, resource.plural) == (group, version, plural):
            return resource
    return None


def group_versions() -> tuple[tuple[str, str], ...]:
    """(group, version) of all resources, each once, the core group first."""
    return tuple(sorted({(resource.group, resource.version) for resource in RESOURCES}))
