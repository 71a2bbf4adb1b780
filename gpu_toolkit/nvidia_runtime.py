"""Installs NVIDIA's runtime from a folder, for container runtimes that cannot inject CDI devices.

The result has the layout of NVIDIA's toolkit container: each program as NAME.real, and a script NAME that calls it with the config and the
libraries of the folder. Unlike NVIDIA's scripts, they start no container without a GPU if the driver is not loaded.
Source: documentation of the NVIDIA Container Toolkit, config.toml.
"""

import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpu_toolkit.host import Host
from gpu_toolkit.toml_edit import quote
from node_core.decode import describe_os_error
from node_core.errors import RuntimeConfigError

RUNTIME = "nvidia-container-runtime"
NEEDED = (RUNTIME, "nvidia-container-runtime-hook", "nvidia-container-cli")
OPTIONAL = ("nvidia-container-runtime.cdi", "nvidia-container-runtime.legacy", "nvidia-ctk", "nvidia-cdi-hook")
LIBRARY = "libnvidia-container"
CONFIG = ".config/nvidia-container-runtime/config.toml"
MARKER = ".gpunode"
"""Marks a folder that gpu-toolkit may remove."""
LDCONFIGS = ("/sbin/ldconfig.real", "/sbin/ldconfig")
PROGRAM = 0o755


def find_files(source: Path) -> Mapping[str, Path]:
    """Returns name -> path of the programs and libraries below a folder. Raises RuntimeConfigError if a needed one is missing."""
    names = (*NEEDED, *OPTIONAL)
    found = {path.name: path for path in sorted(source.rglob("*")) if path.is_file()}
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise RuntimeConfigError(f"{source} does not contain {', '.join(missing)}", hint="set --toolkit-source")
    return {name: path for name, path in found.items() if name in names or name.startswith(LIBRARY)}


def install(host: Host, source: Path, target: str, driver_root: str) -> None:
    """Installs the files into a folder of the host, which appears in one step. Raises RuntimeConfigError."""
    files, folder = find_files(source), host.path(target)
    if folder.exists() and not (folder / MARKER).exists():
        raise RuntimeConfigError(
            f"{target} exists, and was not made by gpu-toolkit", hint="uninstall NVIDIA's toolkit first"
        )
    unfinished = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for name, path in files.items():
            is_program = not name.startswith(LIBRARY)
            shutil.copyfile(path, unfinished / (f"{name}.real" if is_program else name))
            (unfinished / (f"{name}.real" if is_program else name)).chmod(PROGRAM)
        for name, text in render_files(tuple(files), target, driver_root, find_ldconfig(host)):
            (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / name).write_text(text)
            (unfinished / name).chmod(
                PROGRAM if name in files else stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH
            )
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except OSError as error:
        raise RuntimeConfigError(
            f"NVIDIA's runtime cannot be installed in {target}: it {describe_os_error(error)}"
        ) from error


def uninstall(host: Host, target: str) -> None:
    """Removes the folder, if gpu-toolkit has made it."""
    folder = host.path(target)
    shutil.rmtree(folder.with_name(f".{folder.name}.new"), ignore_errors=True)
    if (folder / MARKER).exists():
        shutil.rmtree(folder, ignore_errors=True)


def write_driver_root(host: Host, target: str, driver_root: str) -> None:
    """Changes the driver root of an installed runtime, which reads its config for each container. Raises RuntimeConfigError."""
    content = render_config(target, driver_root, find_ldconfig(host)).encode()
    if host.path(f"{target}/{MARKER}").exists() and host.read(f"{target}/{CONFIG}") != content:
        host.write(f"{target}/{CONFIG}", content)


def find_ldconfig(host: Host) -> str:
    """Returns ldconfig of the host. On Ubuntu and Debian, /sbin/ldconfig is a script, which cannot run in the root of a container."""
    return next((path for path in LDCONFIGS if host.path(path).exists()), LDCONFIGS[-1])


def render_files(names: tuple[str, ...], target: str, driver_root: str, ldconfig: str) -> Iterator[tuple[str, str]]:
    """Yields path and content of the scripts, of the config and of the marker. PURE."""
    for name in names:
        if not name.startswith(LIBRARY):
            yield name, render_script(name, target)
    yield CONFIG, render_config(target, driver_root, ldconfig)
    yield MARKER, ""


def render_script(name: str, target: str) -> str:
    return (
        f"#!/bin/sh\nexport XDG_CONFIG_HOME={target}/.config LD_LIBRARY_PATH={target}\n"
        f'PATH={target}:$PATH exec {target}/{name}.real "$@"\n'
    )


def render_config(target: str, driver_root: str, ldconfig: str) -> str:
    """Renders config.toml. ldconfig: its path on the host, which `@` means."""
    at = {name: quote(f"{target}/{name}") for name in (*NEEDED, *OPTIONAL)}
    return f"""[nvidia-container-cli]
root = {quote(driver_root)}
path = {at["nvidia-container-cli"]}
ldconfig = {quote(f"@{ldconfig}")}

[nvidia-container-runtime]
mode = "legacy"
runtimes = ["runc", "crun"]

[nvidia-container-runtime-hook]
path = {at["nvidia-container-runtime-hook"]}
skip-mode-detection = true

[nvidia-ctk]
path = {at["nvidia-ctk"]}
"""
