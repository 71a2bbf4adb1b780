"""Names under which GPUs and MIG devices are advertised. Source: Kubernetes documentation, Extended Resources; NVIDIA MIG strategies."""

import re
from dataclasses import dataclass
from typing import NewType

from node_core.domain.mig import label_form
from node_core.domain.selection import is_product, is_profile

ResourceName = NewType("ResourceName", str)
"""`nvidia.com/gpu`; made by `resource_name`."""

PREFIX = "nvidia.com/"
MAX_LENGTH = 63
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")


def resource_name(text: str) -> ResourceName:
    """A valid name, with `nvidia.com/` before it where it is missing. Raises ValueError with the reason.

    The name stands in node status, quotas and label keys, all of which have to take it: the whole of it has at most 63 characters.
    """
    name = text if text.startswith(PREFIX) else PREFIX + text
    if len(name) > MAX_LENGTH:
        raise ValueError(f"the resource name {name!r} has {len(name)} characters: at most {MAX_LENGTH} are allowed")
    if not _SUBDOMAIN.fullmatch(short_name(name)):
        raise ValueError(
            f"the resource name {name!r} is not valid: after {PREFIX} write lower-case letters, digits, '-' and '.',"
            " with a letter or digit first and last"
        )
    return ResourceName(name)


def short_name(resource: str) -> str:
    """What stands after `nvidia.com/`: `gpu`."""
    return resource.removeprefix(PREFIX)


GPU = ResourceName("nvidia.com/gpu")


def mig_resource(profile: str) -> ResourceName:
    """The resource of a MIG profile with strategy `mixed`: `1g.10gb+me` is `nvidia.com/mig-1g.10gb.me`. Raises ValueError."""
    return resource_name(f"mig-{label_form(profile)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamePattern:
    """pattern: of a product, or of a MIG profile."""

    pattern: str
    resource: ResourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceNames:
    """By what names GPUs and MIG devices are advertised instead of the usual ones. The first pattern that matches counts."""

    gpus: tuple[NamePattern, ...] = ()
    mig: tuple[NamePattern, ...] = ()

    def of_gpu(self, model: str) -> ResourceName:
        return next((each.resource for each in self.gpus if is_product(each.pattern, model)), GPU)

    def of_mig(self, profile: str | None) -> ResourceName | None:
        """None where it is to have its usual name."""
        return next((each.resource for each in self.mig if profile and is_profile(each.pattern, profile)), None)
