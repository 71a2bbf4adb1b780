"""Syntax of Kubernetes labels. PURE. Source: apimachinery, qualified names and label values."""

import re
from collections.abc import Mapping

import msgspec

Labels = Mapping[str, str]
"""Full key (`nvidia.com/gpu.count`) -> value."""

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
"""A DNS subdomain of any length. Source: Kubernetes documentation, Object Names and IDs."""
GPU_PRESENT = "nvidia.com/gpu.present"
"""nfd-lite sets this label on nodes with an NVIDIA GPU. The device plugin waits for the label, and charts select nodes by it."""
GPU_DEPLOY_DRIVER = "nvidia.com/gpu.deploy.driver"
"""nfd-lite sets this label to `pre-installed` on nodes whose host has a driver of its own. No driver pod starts there, nor
where a person has set a value other than `true`."""
PRE_INSTALLED = "pre-installed"
DEVICE_PLUGIN_CONFIG = "nvidia.com/device-plugin.config"
"""Cluster administrators set this label, directly or with a rule. Its value selects one of the named configs for the node."""
GFD_TIMESTAMP = "nvidia.com/gfd.timestamp"
"""Unix seconds of the last write by gfd. The value changes with every write and does not describe the node."""
MIG_CONFIG = "nvidia.com/mig.config"
"""Cluster administrators set this label. Its value names the MIG config that mig-manager applies to the GPUs of the node."""
MIG_CONFIG_STATE = "nvidia.com/mig.config.state"
"""mig-manager sets this label to the state of the MIG config."""
SIMULATED = "nvidia.com/gpunode.simulated"
"""gfd sets this label to `true` while it simulates GPUs, and removes the label when it runs without --simulate."""
KUBERNETES_DOMAINS = ("kubernetes.io", "k8s.io")
"""Domains that are reserved for Kubernetes. Source: Kubernetes documentation, well-known labels."""
OPEN = ("feature.node.kubernetes.io",)
"""Namespaces below kubernetes.io that rules may use, with their subdomains. Source: Node Feature Discovery."""
OPEN_LABEL_NAMESPACES = (*OPEN, "profile.node.kubernetes.io")
_SYNTAX = "must begin and end with a letter or digit, with only letters, digits, '-', '_' and '.' between"
MAX_NAME = 63
MAX_PREFIX = 253


def node_name_problem(name: str) -> str | None:
    """Returns why the name is not a valid Node name, or None."""
    return object_name_problem(name, "a Node")


def object_name_problem(name: str, kind: str = "an object") -> str | None:
    """Returns why the name is not a DNS subdomain, as most kinds of objects need, or None."""
    if len(name) <= MAX_PREFIX and SUBDOMAIN.fullmatch(name):
        return None
    return f"{_shown(name)} is not a name of {kind}. Use lower-case letters, digits, '-' and '.', at most {MAX_PREFIX} characters"


def namespace_name_problem(name: str) -> str | None:
    """Returns why the name is not a DNS label, as a namespace needs, or None."""
    if len(name) <= MAX_NAME and "." not in name and SUBDOMAIN.fullmatch(name):
        return None
    return f"{_shown(name)} is not a name of a namespace. Use lower-case letters, digits and '-', at most {MAX_NAME} characters"


def _shown(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:40]}...")


def key_problem(key: str) -> str | None:
    """Returns why the API server would reject this label key, or None."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= MAX_PREFIX and SUBDOMAIN.fullmatch(prefix)):
        return f"its prefix {prefix!r} is not a DNS subdomain of at most {MAX_PREFIX} characters"
    if len(name) > MAX_NAME:
        return f"its name has {len(name)} characters, {MAX_NAME} are allowed"
    return None if _NAME.fullmatch(name) else f"its name {_SYNTAX}"


def namespace_problem(key: str, allowed: tuple[str, ...] = OPEN_LABEL_NAMESPACES) -> str | None:
    """Returns why rules and feature files may not use the namespace of this key, or None.

    allowed: the namespaces in the domains of Kubernetes that they may use.
    """
    namespace = key.rpartition("/")[0]
    reserved = any(is_in_namespace(namespace, each) for each in KUBERNETES_DOMAINS)
    if not reserved or any(is_in_namespace(namespace, each) for each in allowed):
        return None
    return f"its namespace {namespace!r} belongs to Kubernetes. Use {' or '.join(allowed)}, or another domain"


def is_in_namespace(namespace: str, parent: str) -> bool:
    """True if the namespace is the parent or a subdomain of the parent."""
    return namespace == parent or namespace.endswith(f".{parent}")


def value_problem(value: str) -> str | None:
    """Returns why the API server would reject this label value, or None. The empty value is valid."""
    if len(value) > MAX_NAME:
        return f"its value has {len(value)} characters, {MAX_NAME} are allowed"
    if value and not _NAME.fullmatch(value):
        return f"its value {value!r} {_SYNTAX}"
    return None


class InvalidLabel(msgspec.Struct, frozen=True, kw_only=True):
    """A label that the API server would reject, and the reason."""

    key: str
    value: str
    why: str


def split_valid(labels: Labels) -> tuple[dict[str, str], tuple[InvalidLabel, ...]]:
    """Returns the valid labels, sorted by key, and the labels that the API server would reject."""
    valid: dict[str, str] = {}
    invalid: list[InvalidLabel] = []
    for key, value in sorted(labels.items()):
        why = key_problem(key) or value_problem(value)
        if why is None:
            valid[key] = value
        else:
            invalid.append(InvalidLabel(key=key, value=value, why=why))
    return valid, tuple(invalid)


def sanitize(text: str) -> str:
    """Returns a product or machine name as a valid label value, in the form of GPU Feature Discovery.

    Removes all characters except letters, digits, '-', '_', '.' and spaces. Replaces each run of spaces by one '-'. Unlike upstream,
    truncates the result to 63 characters and removes '-', '_' and '.' at both ends, so the API server accepts every result.
    """
    allowed = re.sub(r"[^A-Za-z0-9\-_. ]", "", text)
    return "-".join(allowed.split()).strip("-_.")[:MAX_NAME].rstrip("-_.")


def preserve_volatile(labels: Labels, known: Labels, volatile: frozenset[str]) -> dict[str, str]:
    """Returns `labels`. If only volatile keys (a timestamp) differ from the known labels, uses the known values, so no write follows."""
    keys = (labels.keys() | known.keys()) - volatile
    if any(labels.get(key) != known.get(key) for key in keys):
        return dict(labels)
    return {key: known.get(key, value) for key, value in labels.items()}
