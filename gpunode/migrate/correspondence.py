"""What a value of another chart is in the chart gpunode: the type of the tables."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta

Advise = Callable[[str], None]
"""Receives a sentence about a part of a value that has no counterpart."""
Convert = Callable[[Any, Advise], Any]
"""Converts a value. Returns a value that is not of the type in the table unchanged, for the error; None to omit the value."""


class Message(StrEnum):
    """How the chart gpunode itself reacts to the value. refused: Helm reports an error. ignored: the notes of the installation list it."""

    REFUSED = "refused"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondence:
    """One value of another chart, or the values of a section that have no correspondence of their own.

    path: of the value. to: the path of our value, None if there is none. why: what a person must know or do; one or more sentences.
    kind: the type of our value, for msgspec. convert: None if the value stays the same. is_replaced_by_empty: an empty list or text, or
    null, has a meaning. needs_action: a person must do something. has_rule: a function of the chart converts the value, together with
    other values. message: None if the chart accepts the value, or reports a section that contains the value.
    """

    path: str
    to: str | None = None
    why: str = ""
    kind: Any = Any
    convert: Convert | None = None
    is_replaced_by_empty: bool = False
    needs_action: bool = False
    has_rule: bool = False
    message: Message | None = None


def same(path: str, kind: Any, why: str = "", **more: Any) -> Correspondence:
    """A value with the same name and meaning."""
    return Correspondence(path=path, to=path, kind=kind, why=why, **more)


def moved(path: str, to: str, kind: Any, why: str = "", **more: Any) -> Correspondence:
    """A value with another name. The chart refuses it with the name to use."""
    return Correspondence(path=path, to=to, kind=kind, why=why, **{"message": Message.REFUSED, **more})


def unnecessary(path: str, why: str, **more: Any) -> Correspondence:
    """A value that has no effect here, and that needs no replacement. The notes of the installation list it."""
    return Correspondence(path=path, why=why, **{"message": Message.IGNORED, **more})


def missing(path: str, why: str, **more: Any) -> Correspondence:
    """A value without counterpart: a person must do something. The chart refuses it."""
    return Correspondence(path=path, why=why, needs_action=True, **{"message": Message.REFUSED, **more})


Mapping = dict[str, Any]
Objects = list[dict[str, Any]]
Texts = list[str]
TextMap = dict[str, str]
Env = list[dict[str, Any]]
HostPath = Annotated[str, Meta(pattern="^/", description="an absolute path")]
ConfigName = Annotated[
    str, Meta(pattern="^[-._a-zA-Z0-9]+$", description="a key of a ConfigMap: letters, digits, `-`, `_`, `.`")
]
MigStrategy = Literal["none", "single", "mixed"]
DeviceListStrategies = list[Literal["auto", "envvar", "volume-mounts", "cdi-annotations", "cdi-cri"]]
DeviceIdStrategy = Literal["uuid", "index"]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]
Update = Literal["RollingUpdate", "OnDelete"]
Fallbacks = list[Literal["named", "single", "empty", ""]]

IMAGE = "All agents use the image of `image` and `imagePullSecrets`."
BUILD = "Build the image (docs/how-to/build-image.md), and set `image.repository` and `image.tag`."
NAMES = "Names are fixed, because two installations would label the same nodes."
NAMESPACE = "The namespace is the namespace of the release: `helm --namespace`."
NETWORK = "The pods use the network of pods."
ALL_AGENTS = "It applies to all agents."
GPU_AGENTS = "It applies to gfd, gpu-device-plugin, gpu-exporter, mig-manager and gpu-validator."
RESOURCES = (
    "The chart sets the measured requests of each agent. For others, set `resources` in the section of the agent."
)
CONTEXT = "Set `securityContext` in the section of each agent."
