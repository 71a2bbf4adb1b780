"""Compares the hooks that the plugin reads in NVIDIA's hook programs with what the programs do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gpu_core.cdi.hook_program import (
    COMPAT,
    HOST_CUDA,
    HOST_DRIVER,
    LDCACHE,
    LINKS,
    NO_NODES,
    PROFILE,
    HookProgramReader,
)
from gpu_core.cdi.roots import Roots
from node_core.host.root import HostRoot
from tests.e2e.cluster.build import cache_folder
from tests.gpu_core.cdi.test_hook_program import WORDS
from tests.roots.drivers.layout import TOOLKITS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MODULE = "github.com/NVIDIA/nvidia-container-toolkit/cmd"
SUBCOMMANDS = {"nvidia-ctk": ("hook",), "nvidia-cdi-hook": ()}


def install(name: str, release: str) -> Path:
    """Builds the program once."""
    folder = cache_folder() / "toolkit" / release
    if not (folder / name).exists():
        environment = {**os.environ, "GOBIN": str(folder), "GOFLAGS": "-mod=mod"}
        go = shutil.which("go") or "/usr/local/go/bin/go"
        subprocess.run([go, "install", f"{MODULE}/{name}@v{release}"], env=environment, check=True, capture_output=True)
    return folder / name


def run(program: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(program), *SUBCOMMANDS[program.name], *arguments]
    return subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", SUBCOMMANDS)
@pytest.mark.parametrize("release", TOOLKITS)
def test_the_hooks_that_the_plugin_reads_are_the_hooks_that_the_program_has(release: str, name: str) -> None:
    program = install(name, release)
    words = HookProgramReader(HostRoot()).read(str(program), Roots()).words
    assert words == WORDS[release], "the fake programs of the tests have the same texts"
    for hook in (LINKS, COMPAT, LDCACHE, NO_NODES, PROFILE):
        done = run(program, hook, "--help")
        has_hook = done.returncode == 0 and "Unsupported CDI hook" not in done.stderr
        assert (hook in words) == has_hook or (hook, release) == (PROFILE, "1.20.0"), (hook, done)
    for flag in (HOST_DRIVER, HOST_CUDA) if COMPAT in words else ():
        assert (flag in words) == (flag in run(program, COMPAT, "--help").stdout), flag
