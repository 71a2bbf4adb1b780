"""Checks the CDI specifications: every device of the kubelet resolves, and every path that a device needs exists on the host.

Source: Container Device Interface Specification (github.com/cncf-tags/container-device-interface, SPEC.md).
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_core.domain.cdi import ALL, VENDOR
from gpu_core.domain.cdi_schema import problems_of
from gpu_core.domain.inventory import Gpu, Inventory, Platform
from gpu_core.host.device_nodes import HostNode
from gpu_validator.check import Check, Name, failed, not_applicable, passed
from node_core.decode import parse_first_document, read_document
from node_core.errors import SettingsError

SUFFIXES = (".json", ".yaml")
KINDS = (f"{VENDOR}/gpu", "nvidia.com/gpu")
"""The kinds of the devices that device plugins hand out, the preferred one first."""
CLAIM_KIND = "k8s.gpu.nvidia.com/claim"
"""The kind of the devices that gpu-dra-driver describes, in a file for each claim while a pod has the claim."""
MAX_NAMED = 4
REMEDY = "see the log of gpu-device-plugin, which writes the specifications again after a change; gpunode cdi list shows them"
_SHARE = re.compile(r"::[0-9]{1,9}$")
"""The end of the kubelet's id of a device that is shared."""

FindNode = Callable[[str], "HostNode | bool | None"]
"""Host path -> the device node; True for another file, False for a missing one, None for a path that is not visible here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFile:
    """A file with specifications. spec: None if the file is not valid; then `problem` states why."""

    path: Path
    spec: Mapping[str, Any] | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CdiDevices:
    """The devices of one kind. edits: name -> the edits that the device needs. problems: a sentence for each device without a meaning."""

    kind: str
    edits: Mapping[str, tuple[Mapping[str, Any], ...]]
    problems: tuple[str, ...] = ()


def read_specs(folders: Iterable[Path]) -> tuple[SpecFile, ...]:
    """Reads the files that container runtimes read. Problems are in the result. A missing folder has no files."""
    return tuple(_read(path) for folder in folders for path in _files(folder))


def select_devices(files: Sequence[SpecFile], kinds: Sequence[str] = KINDS) -> CdiDevices | None:
    """Returns the devices of the first kind that a file has; None if no file has one of the kinds. PURE.

    A device that two files of one folder define has no meaning. The folder of a later file takes precedence.
    """
    of_kind = {kind: [each for each in files if each.spec and each.spec["kind"] == kind] for kind in kinds}
    kind = next((kind for kind, found in of_kind.items() if found), None)
    if kind is None:
        return None
    edits: dict[str, tuple[Mapping[str, Any], ...]] = {}
    owners: dict[str, Path] = {}
    problems = []
    for file in of_kind[kind]:
        spec = file.spec or {}
        for device in spec["devices"]:
            name = device["name"]
            if name in owners and owners[name].parent == file.path.parent:
                problems.append(f"{owners[name]} and {file.path} both define {kind}={name}")
            owners[name] = file.path
            edits[name] = (spec.get("containerEdits") or {}, device["containerEdits"])
    return CdiDevices(kind=kind, edits=edits, problems=tuple(problems))


def check_cdi(
    files: Sequence[SpecFile], inventory: Inventory, ids: Collection[str], find: FindNode, *, why_not_needed: str | None
) -> Check:
    """ids: of the devices that the kubelet has. why_not_needed: why pods get their GPUs without CDI; None if they need CDI. PURE."""
    devices = select_devices(files)
    invalid = [f"{file.path}: {file.problem}" for file in files if file.problem is not None]
    if devices is None:
        if why_not_needed is not None:
            return not_applicable(Name.CDI, why_not_needed)
        detail = f". {invalid[0]}" if invalid else ""
        return failed(Name.CDI, f"there is no CDI specification of {KINDS[0]}{detail}", REMEDY)
    names = select_names(inventory, ids, devices.edits)
    problems = [*devices.problems]
    problems += [f"{devices.kind}={id_} is in no CDI specification" for id_, name in names.items() if name is None]
    used = dict.fromkeys(name for name in names.values() if name is not None) or devices.edits
    problems += dict.fromkeys(problem for name in used for problem in find_broken_paths(devices.edits[name], find))
    if problems:
        more = f", and {len(problems) - MAX_NAMED} more" if len(problems) > MAX_NAMED else ""
        detail = f". {invalid[0]}" if invalid else ""
        return failed(Name.CDI, f"{', '.join(problems[:MAX_NAMED])}{more}{detail}", REMEDY)
    return passed(Name.CDI, f"{len(used)} devices of {devices.kind} resolve")


def select_names(inventory: Inventory, ids: Collection[str], devices: Collection[str]) -> dict[str, str | None]:
    """Returns the device of each id, without the number of a share; None for an id without a device. PURE.

    A plugin names a device by its UUID or by its index. An integrated GPU and the GPUs of WSL have one device.
    """
    indexes = dict(_indexes(inventory.gpus))
    found: dict[str, str | None] = {}
    for id_ in sorted({_SHARE.sub("", each) for each in ids}):
        candidates = (id_, indexes.get(id_, id_), *((ALL, *devices) if inventory.platform is not Platform.NVML else ()))
        found[id_] = next((each for each in candidates if each in devices), None)
    return found


def find_broken_paths(edits: Iterable[Mapping[str, Any]], find: FindNode) -> Iterator[str]:
    """Yields a sentence for each path of the host that is missing, and for each node that has other numbers. PURE."""
    for part in edits:
        for node in part.get("deviceNodes") or ():
            yield from _check_node(node, find)
        for mount in part.get("mounts") or ():
            if find(mount["hostPath"]) is False:
                yield f"{mount['hostPath']} is missing"
        for hook in part.get("hooks") or ():
            if find(hook["path"]) is False:
                yield f"the hook {hook['path']} is missing"


def list_container_paths(devices: CdiDevices, name: str) -> tuple[str, ...]:
    """Returns the paths that a container with the device has: its device nodes and mounts. PURE."""
    nodes = [node["path"] for part in devices.edits[name] for node in part.get("deviceNodes") or ()]
    mounts = [mount["containerPath"] for part in devices.edits[name] for mount in part.get("mounts") or ()]
    return tuple(dict.fromkeys((*nodes, *mounts)))


def _check_node(node: Mapping[str, Any], find: FindNode) -> Iterator[str]:
    path = node.get("hostPath") or node["path"]
    found = find(path)
    if found is False:
        yield f"{path} is missing"
    elif isinstance(found, HostNode) and node.get("major") is not None:
        stated = (node["major"], node.get("minor") or 0)
        if stated != (found.major, found.minor):
            yield f"{path} is {found.major}:{found.minor}, and the CDI specification states {stated[0]}:{stated[1]}"


def _indexes(gpus: Iterable[Gpu]) -> Iterator[tuple[str, str]]:
    for gpu in gpus:
        yield gpu.uuid, str(gpu.index)
        for mig in gpu.mig_devices:
            yield mig.uuid, f"{gpu.index}:{mig.slot}"


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]
    except OSError:
        return []


def _read(path: Path) -> SpecFile:
    try:
        spec, _ = parse_first_document(read_document(path))
    except SettingsError as error:
        return SpecFile(path=path, problem=error.problems[0].removeprefix(f"{path}: "))
    problems = problems_of(spec)
    return SpecFile(path=path, problem=problems[0]) if problems else SpecFile(path=path, spec=spec)
