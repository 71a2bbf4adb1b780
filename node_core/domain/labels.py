"""Label syntax of Kubernetes (apimachinery's qualified name and label value) and the merge law of label collectors."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Labels = Mapping[str, str]
"""Full key (`nvidia.com/gpu.count`) -> value."""

_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
GPU_PRESENT = "nvidia.com/gpu.present"
"""Set by nfd-lite on nodes with an NVIDIA GPU; the device plugin waits for it, charts and people select by it."""
DEVICE_PLUGIN_CONFIG = "nvidia.com/device-plugin.config"
"""Set by people, or by a rule of theirs: which of the named configs is this node's."""
KUBERNETES = ("kubernetes.io", "k8s.io")
"""Domains of Kubernetes itself, where labels steer its own parts. Source: its documentation, well-known labels."""
OPEN = ("feature.node.kubernetes.io",)
"""Namespaces below kubernetes.io that are for everybody, with those below them. Source: Node Feature Discovery."""
OPEN_FOR_LABELS = (*OPEN, "profile.node.kubernetes.io")
MAX_NAME = 63
MAX_PREFIX = 253


def node_name_problem(name: str) -> str | None:
    """Why no Node can have this name, or None."""
    return object_name_problem(name, "a Node")


def object_name_problem(name: str, kind: str = "an object") -> str | None:
    """Why no object of most kinds can have this name, or None: it is a DNS subdomain."""
    if len(name) <= MAX_PREFIX and _SUBDOMAIN.fullmatch(name):
        return None
    return (
        f"{_shown(name)} is no name of {kind}: lower-case letters, digits, '-' and '.', at most {MAX_PREFIX} characters"
    )


def namespace_name_problem(name: str) -> str | None:
    """Why no namespace can have this name, or None: it is a DNS label."""
    if len(name) <= MAX_NAME and "." not in name and _SUBDOMAIN.fullmatch(name):
        return None
    return (
        f"{_shown(name)} is no name of a namespace: lower-case letters, digits and '-', at most {MAX_NAME} characters"
    )


def _shown(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:40]}...")


def key_problem(key: str) -> str | None:
    """Why the API server would refuse this label key, or None."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= MAX_PREFIX and _SUBDOMAIN.fullmatch(prefix)):
        return f"its prefix {prefix!r} is not a DNS subdomain of at most {MAX_PREFIX} characters"
    if len(name) > MAX_NAME:
        return f"its name has {len(name)} characters, {MAX_NAME} are allowed"
    if not _NAME.fullmatch(name):
        return "its name must begin and end with a letter or digit, with only letters, digits, '-', '_' and '.' between"
    return None


def namespace_problem(key: str, allowed: tuple[str, ...] = OPEN_FOR_LABELS) -> str | None:
    """Why rules and files of people may not use this key's namespace, or None: of Kubernetes' own they may use `allowed`."""
    namespace = key.rpartition("/")[0]
    reserved = any(is_below(namespace, each) for each in KUBERNETES)
    if not reserved or any(is_below(namespace, each) for each in allowed):
        return None
    return f"its namespace {namespace!r} belongs to Kubernetes: use {' or '.join(allowed)}, or another domain"


def is_below(namespace: str, parent: str) -> bool:
    """Whether it is the same, or a part of it."""
    return namespace == parent or namespace.endswith(f".{parent}")


def value_problem(value: str) -> str | None:
    """Why the API server would refuse this label value, or None. The empty value is a good one."""
    if len(value) > MAX_NAME:
        return f"its value has {len(value)} characters, {MAX_NAME} are allowed"
    if value and not _NAME.fullmatch(value):
        return f"its value {value!r} must begin and end with a letter or digit, with only letters, digits, '-', '_' and '.' between"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A label that Kubernetes would not take, and why."""

    key: str
    value: str
    why: str


def split_valid(labels: Labels) -> tuple[dict[str, str], tuple[Refused, ...]]:
    """The labels that Kubernetes takes, sorted by key, and those it would refuse."""
    good: dict[str, str] = {}
    bad: list[Refused] = []
    for key, value in sorted(labels.items()):
        why = key_problem(key) or value_problem(value)
        if why is None:
            good[key] = value
        else:
            bad.append(Refused(key=key, value=value, why=why))
    return good, tuple(bad)


def sanitize(text: str) -> str:
    """A product or machine name as GPU Feature Discovery writes it, cut and trimmed to what Kubernetes accepts.

    Characters outside letters, digits, '-', '_', '.', and space are dropped; runs of spaces become one '-'. Unlike upstream the result
    is then cut to 63 characters and loses leading and trailing '-', '_' and '.', so the API server takes every result.
    """
    kept = re.sub(r"[^A-Za-z0-9\-_. ]", "", text)
    return "-".join(kept.split()).strip("-_.")[:MAX_NAME].rstrip("-_.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one collector (a source or labeler group) brought. labels: None when it failed.

    owns: key prefixes that are its own. rest: its keys are free, so when it fails it owns every key that no other collector does.
    """

    name: str
    labels: Labels | None
    owns: tuple[str, ...] = ()
    rest: bool = False

    def owns_key(self, key: str) -> bool:
        return key.startswith(self.owns)


def merge_collected(collected: Iterable[Collected], known: Labels) -> dict[str, str]:
    """All labels to publish. A failed collector keeps its keys from `known`: an error never removes a label.

    known: what is published now, from the last pass or, after a restart, from what the live Node says our field manager owns.
    Later collectors win over earlier ones, and what is found over free keys that are kept.
    """
    parts = tuple(collected)
    keeps_rest = any(part.rest and part.labels is None for part in parts)
    free = (key for key in known if not any(part.owns_key(key) for part in parts))
    merged = {key: known[key] for key in free} if keeps_rest else {}
    for part in parts:
        if part.labels is None:
            merged.update({key: value for key, value in known.items() if part.owns_key(key)})
        else:
            merged.update(part.labels)
    return dict(sorted(merged.items()))


def settle(labels: Labels, known: Labels, volatile: frozenset[str]) -> dict[str, str]:
    """`labels`, with the published values of volatile keys (a timestamp) where nothing else differs: those never cause a write."""
    keys = (labels.keys() | known.keys()) - volatile
    if any(labels.get(key) != known.get(key) for key in keys):
        return dict(labels)
    return {key: known.get(key, value) for key, value in labels.items()}
