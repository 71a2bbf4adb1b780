"""Writes container images as docker-archive files: layers, a config and a manifest in one tar. Equal content results in equal bytes."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file or a symbolic link of an image. path: without a leading slash. content: the bytes, or the path of a file."""

    path: str
    content: bytes | Path = b""
    executable: bool = False
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    reference: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def render_config(image: Image, layer_digest: str, machine: str) -> str:
    """Renders the config of an image. Source: OCI image specification. machine: as in uname(2)."""
    running: dict[str, object] = {"Env": [f"{name}={value}" for name, value in image.environment.items()]}
    if image.command:
        running["Cmd"] = list(image.command)
    return json.dumps(
        {
            "architecture": ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": running,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        }
    )


def write_archive(path: Path, images: Iterable[Image], entries: Iterable[Entry]) -> None:
    """Writes images that share one layer, atomically."""
    unfinished = path.with_name(f".{path.name}")
    layer_path = path.with_name(f".{path.name}.layer")
    _write_layer(layer_path, entries)
    with layer_path.open("rb") as layer:
        digest = hashlib.file_digest(layer, "sha256").hexdigest()
    manifest = []
    with tarfile.open(unfinished, "w", format=tarfile.GNU_FORMAT) as archive:
        for image in images:
            config = render_config(image, digest, platform.machine()).encode()
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            manifest.append({"Config": name, "RepoTags": [image.reference], "Layers": [f"{digest}.tar"]})
            _add(archive, Entry(path=name, content=config))
        _add(archive, Entry(path=f"{digest}.tar", content=layer_path))
        _add(archive, Entry(path="manifest.json", content=json.dumps(manifest).encode()))
    layer_path.unlink()
    unfinished.replace(path)


def with_folders(entries: Iterable[Entry]) -> list[Entry | str]:
    """Returns the entries and, as text, their parent folders, without duplicates, in the order of unpacking."""
    by_path: dict[str, Entry | str] = {entry.path: entry for entry in entries}
    for path in tuple(by_path):
        by_path |= {str(parent): str(parent) for parent in PurePosixPath(path).parents if str(parent) not in by_path}
    by_path.pop(".", None)
    return [by_path[path] for path in sorted(by_path)]


def _write_layer(path: Path, entries: Iterable[Entry]) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as layer:
        for entry in with_folders(entries):
            if isinstance(entry, Entry):
                _add(layer, entry)
            else:
                layer.addfile(_info(entry, tarfile.DIRTYPE, 0o1777 if entry in ("tmp", "var/tmp") else 0o755))


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    if entry.link is not None:
        info = _info(entry.path, tarfile.SYMTYPE, 0o777)
        info.linkname = entry.link
        archive.addfile(info)
        return
    info = _info(entry.path, tarfile.REGTYPE, 0o755 if entry.executable else 0o644)
    content = entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _info(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.mtime = kind, mode, 0
    return info
