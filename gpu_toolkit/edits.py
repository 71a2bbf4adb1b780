"""The files that must change so that a runtime has these CDI settings. PURE.

containerd before 2.1 does not merge a drop-in with the table of the main file: the drop-in would replace the whole table, and also hide
later changes of the main file. A drop-in of another config version has the same effect in later versions. So the plans are tried in order,
and `gpu_toolkit/dump.py` checks each with the runtime itself.
Source: documentation of containerd, "Imports" and "Plugin configuration"; crio.conf.d(5); documentation of k3s, RKE2 and MicroK8s.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from gpu_toolkit.model import Kind, Runtime, Values, Wanted
from gpu_toolkit.toml_edit import Table, parse_toml, read_table, render_header, render_value, set_values, with_values
from node_core.domain.cdi_support import is_at_least

DROP_IN = "99-gpunode"
CRI_O_FOLDER = "/etc/crio/crio.conf.d"
CRI_O_TABLE: Table = ("crio", "runtime")
TABLES: Mapping[int, Table] = {
    1: ("plugins", "cri"),
    2: ("plugins", "io.containerd.grpc.v1.cri"),
    3: ("plugins", "io.containerd.cri.v1.runtime"),
}
"""Version of the config -> the table of the CRI plugin. Later versions have the table of version 3."""
HANDLERS: Table = ("containerd", "runtimes")
"""The table of the handlers, below the one of the CRI plugin."""
RUNC = "io.containerd.runc.v2"
MERGES = (2, 0)
"""The first version of containerd that can merge a drop-in with the main file."""
GENERATED = "/agent/etc/containerd/config.toml"
"""The end of the path of the config that k3s and RKE2 write at each start."""
MICROK8S, MICROK8S_TEMPLATE = "/args/containerd.toml", "containerd-template.toml"
NOTE = "# Written by gpu-toolkit. `gpunode toolkit revert` removes this file.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The content of a config file; None if the file is missing. path: on the host."""

    path: str
    content: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEdit:
    """The new content of a file. tables: the values that go again if others have changed the file since."""

    path: str
    before: bytes | None
    after: bytes
    tables: Mapping[Table, Values]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """describe: the end of a sentence in the past tense that begins with `gpu-toolkit`. wanted: the values that it sets.

    can_hide: whether it may hide values of other files, so that it must be possible to check it before the restart.
    """

    describe: str
    edits: tuple[FileEdit, ...]
    wanted: Wanted
    can_hide: bool = False


def template_path(config: str) -> str | None:
    """Returns the path of the file from which MicroK8s writes the config at each start; None for other runtimes."""
    return str(PurePosixPath(config).with_name(MICROK8S_TEMPLATE)) if config.endswith(MICROK8S) else None


def is_generated(config: str) -> bool:
    """Whether the distribution writes the config at each start, so that a change of the file would be lost."""
    return config.endswith(GENERATED)


def plan_edits(
    runtime: Runtime, main: Source, template: Source | None, drop_in: str | None, wanted: Wanted
) -> Iterator[Plan]:
    """Yields the possible changes, the best first. drop_in: the path that the user chose; None for the default.

    Raises RuntimeConfigError if a file is not TOML.
    """
    if runtime.kind is Kind.CRI_O:
        file = drop_in or f"{CRI_O_FOLDER}/{DROP_IN}.conf"
        yield _plan_drop_in(file, CRI_O_TABLE, wanted, version=None)
        return
    parsed = parse_toml(main.content or b"", main.path)
    version = config_version(parsed, runtime, has_file=bool(main.content))
    table = TABLES[min(version, 3)]
    path = drop_in or find_drop_in(parsed, main.path)
    if path is not None and is_at_least(runtime.version, MERGES):
        yield _plan_drop_in(path, table, wanted, version=version)
    if is_generated(main.path):
        return
    targets = [each for each in (template, main) if each is not None]
    describe = f"changed {' and '.join(wanted_names(wanted))} in {targets[0].path}"
    if not is_at_least(runtime.version, MERGES) and not read_table(parsed, (*table, *HANDLERS)):
        wanted = {**_default_handler(wanted), **wanted}
    edits = tuple(_edit(each, _below(table, wanted), version) for each in targets)
    yield Plan(describe=describe, edits=edits, wanted=wanted)


def wanted_names(wanted: Wanted) -> tuple[str, ...]:
    """Returns the names of the settings for people: the keys of the table itself, and the names of new handlers."""
    return (*wanted.get((), ()), *(f"the handler {table[-1]}" for table in wanted if table and table[-2] == "runtimes"))


def _default_handler(wanted: Wanted) -> Wanted:
    """containerd 1 has its default handler only in a config without handlers."""
    has_handler = any(table[: len(HANDLERS)] == HANDLERS for table in wanted)
    return {(*HANDLERS, "runc"): {"runtime_type": RUNC}} if has_handler else {}


def _below(table: Table, wanted: Wanted) -> Mapping[Table, Values]:
    return {(*table, *path): values for path, values in wanted.items()}


def config_version(parsed: Mapping[str, Any], runtime: Runtime, *, has_file: bool) -> int:
    """Returns the version of the config. Without a version, containerd 2 reads a file as version 3, and containerd 1 as version 1."""
    version = parsed.get("version")
    if isinstance(version, int) and not isinstance(version, bool):
        return max(1, version)
    if is_at_least(runtime.version, (2, 0)):
        return 3
    return 1 if has_file else 2


def find_drop_in(parsed: Mapping[str, Any], main: str) -> str | None:
    """Returns the path of a drop-in file that the main file imports; None without an import of a folder."""
    imports = parsed.get("imports")
    for each in imports if isinstance(imports, list) else ():
        glob = PurePosixPath(main).parent / str(each)
        if glob.name in ("*.toml", "*"):
            return str(glob.parent / f"{DROP_IN}.toml")
    return None


def _plan_drop_in(path: str, table: Table, wanted: Wanted, *, version: int | None) -> Plan:
    tables = _below(table, wanted)
    head = NOTE + ("" if version is None else f"version = {version}\n")
    text = head + "".join(map(_render_table, tables, tables.values()))
    edit = FileEdit(path=path, before=None, after=text.encode(), tables=tables)
    return Plan(describe=f"wrote {path}", edits=(edit,), wanted=wanted, can_hide=version is not None)


def _render_table(table: Table, values: Values) -> str:
    lines = (f"{key} = {render_value(value)}" for key, value in values.items())
    return "\n".join(["", render_header(table), *lines, ""])


def _edit(source: Source, tables: Mapping[Table, Values], version: int) -> FileEdit:
    after = source.content or f"version = {version}\n".encode()
    for table, values in tables.items():
        parsed = parse_toml(after, source.path)
        if not source.content or with_values(parsed, table, values) != parsed:
            after = set_values(after, source.path, table, values)
    return FileEdit(path=source.path, before=source.content, after=after, tables=tables)
