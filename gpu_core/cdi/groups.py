"""Whether the container runtime reads the groups of device nodes in CDI specifications. PURE.

A runtime that injects CDI devices may still refuse a specification: each one reads specifications up to the version that its CDI library
knows. Source: go.mod of containerd 1.7.0 to 2.2.0, CRI-O 1.26.0 to 1.34.0 and Moby; SPEC.md of the library, "Released versions".
"""

from collections.abc import Mapping

from node_core.domain.cdi_support import Version, is_at_least

GROUPS: Mapping[str, Version] = {"containerd": (1, 7, 16), "cri-o": (1, 30), "docker": (27,)}
"""Runtimes that read version 0.7.0 of CDI specifications, which added the groups of device nodes. Earlier ones refuse the specification."""


def groups_reason(runtime: str) -> str | None:
    """Returns why CDI specifications must not contain groups, or None. runtime: nodeInfo.containerRuntimeVersion, `containerd://2.0.1`."""
    name, _, version = runtime.partition("://")
    if name not in GROUPS:
        return f"container runtime {runtime or 'of unknown name'} is not known to read CDI 0.7.0"
    if not is_at_least(version, GROUPS[name]):
        return f"{runtime}: reading CDI 0.7.0 requires {'.'.join(map(str, GROUPS[name]))}"
    return None
