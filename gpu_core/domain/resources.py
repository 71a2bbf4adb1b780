"""The resource names of GPUs and MIG devices. Source: Kubernetes documentation, Extended Resources; NVIDIA MIG strategies."""

from typing import NewType

import msgspec

from gpu_core.domain.mig import label_form
from gpu_core.domain.selection import is_product, is_profile
from node_core.domain.labels import SUBDOMAIN

ResourceName = NewType("ResourceName", str)
"""`nvidia.com/gpu`; made by `resource_name`."""

PREFIX = "nvidia.com/"
MAX_LENGTH = 63


def resource_name(text: str) -> ResourceName:
    """Validates a name, and adds a missing `nvidia.com/`. Raises ValueError with the reason.

    Node status, quotas and label keys all have to accept the name, so the whole name has at most 63 characters.
    """
    name = text if text.startswith(PREFIX) else PREFIX + text
    if len(name) > MAX_LENGTH:
        raise ValueError(f"the resource name {name!r} has {len(name)} characters. At most {MAX_LENGTH} are allowed.")
    if not SUBDOMAIN.fullmatch(short_name(name)):
        raise ValueError(
            f"the resource name {name!r} is not valid. After {PREFIX}, use lower-case letters, digits, '-' and '.',"
            " with a letter or digit first and last."
        )
    return ResourceName(name)


def short_name(resource: str) -> str:
    """The part after `nvidia.com/`: `gpu`."""
    return resource.removeprefix(PREFIX)


GPU = ResourceName("nvidia.com/gpu")


def mig_resource(profile: str) -> ResourceName:
    """The resource of a MIG profile with the strategy `mixed`: `nvidia.com/mig-1g.10gb.me` for `1g.10gb+me`. Raises ValueError."""
    return resource_name(f"mig-{label_form(profile)}")


class NamePattern(msgspec.Struct, frozen=True, kw_only=True):
    """pattern: matches a product or a MIG profile."""

    pattern: str
    resource: ResourceName


class ResourceNames(msgspec.Struct, frozen=True, kw_only=True):
    """The configured resource names of GPUs and MIG devices. The first matching pattern applies."""

    gpus: tuple[NamePattern, ...] = ()
    mig: tuple[NamePattern, ...] = ()

    def name_for_gpu(self, model: str) -> ResourceName:
        return next((each.resource for each in self.gpus if is_product(each.pattern, model)), GPU)

    def name_for_mig(self, profile: str | None) -> ResourceName | None:
        """None for the default name."""
        return next((each.resource for each in self.mig if profile and is_profile(each.pattern, profile)), None)
