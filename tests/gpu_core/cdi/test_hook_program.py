"""The hooks of the program on the host."""

import os
from collections.abc import Collection
from pathlib import Path

import pytest

from gpu_core.cdi.hook_program import (
    COMPAT,
    DEFAULT,
    HOST_CUDA,
    HOST_DRIVER,
    LDCACHE,
    LINKS,
    NO_NODES,
    OLDEST,
    PROFILE,
    HookProgram,
    HookProgramReader,
)
from gpu_core.cdi.roots import Roots
from gpu_core.host.program_texts import find_texts
from node_core.host.root import HostRoot
from tests.roots.drivers.layout import TOOLKITS, lay_out_all

WRAPPER = "/usr/local/nvidia/toolkit/nvidia-ctk"
SCRIPT = f'#!/bin/sh\\nPATH={Path(WRAPPER).parent}:$PATH \\\\\\n  {WRAPPER}.real \\\\\\n    "$@"'
WORDS: dict[str, frozenset[str]] = {
    "1.16.2": frozenset({LINKS, LDCACHE}),
    "1.17.4": frozenset({LINKS, LDCACHE}),
    "1.17.8": frozenset({LINKS, LDCACHE, COMPAT, HOST_DRIVER}),
    "1.18.0": frozenset({LINKS, LDCACHE, COMPAT, HOST_DRIVER, NO_NODES}),
    "1.19.0": frozenset({LINKS, LDCACHE, COMPAT, HOST_DRIVER, NO_NODES, HOST_CUDA}),
    "1.20.0": frozenset({LINKS, LDCACHE, COMPAT, HOST_DRIVER, NO_NODES, HOST_CUDA}),
    "1.20.1": frozenset({LINKS, LDCACHE, COMPAT, HOST_DRIVER, NO_NODES, HOST_CUDA, PROFILE}),
    "1.20.2": frozenset({LINKS, LDCACHE, COMPAT, HOST_DRIVER, NO_NODES, HOST_CUDA, PROFILE}),
}


def read(root: Path, configured: str | None = None, *, driver: str = "/", host: Path | None = None) -> HookProgram:
    """root: where the driver root is mounted."""
    return HookProgramReader(HostRoot(host or root / "no-host")).read(
        configured, Roots(driver=driver, driver_mount=root)
    )


@pytest.mark.parametrize("release", TOOLKITS)
@pytest.mark.parametrize("path", ["/usr/bin/nvidia-ctk", "/usr/bin/nvidia-cdi-hook"])
def test_only_the_hooks_of_the_installed_release_are_used(path: str, release: str, tmp_path: Path) -> None:
    lay_out_all(tmp_path, f"{path} toolkit {release}")
    found = read(tmp_path, path)
    assert (found.path, found.words, found.why) == (path, WORDS[release], None)


def test_the_default_program_is_nvidia_ctk(tmp_path: Path) -> None:
    assert read(tmp_path) == HookProgram(why="the host has no hook program")
    lay_out_all(tmp_path, f"{DEFAULT} toolkit 1.17.8")
    assert read(tmp_path).path == DEFAULT


@pytest.mark.parametrize(
    "lines",
    [
        [f"{WRAPPER} = {SCRIPT}", f"{WRAPPER}.real toolkit 1.17.8"],
        [f"{WRAPPER} = #!/bin/sh\\nexec \"$0.real\" \"$@\"", f"{WRAPPER}.real toolkit 1.17.8"],
        [f"{WRAPPER} -> /opt/toolkit/nvidia-ctk", "/opt/toolkit/nvidia-ctk toolkit 1.17.8"],
        [f"{WRAPPER} = #!/bin/sh\\nexec /nix/store/a/bin/.nvidia-ctk-wrapped $@", "/nix/store/a/bin/.nvidia-ctk-wrapped toolkit 1.17.8"],
        [f"{WRAPPER} library x86_64", f"{Path(WRAPPER).parent}/.nvidia-ctk-wrapped toolkit 1.17.8"],
        [f"{WRAPPER} = #!/bin/sh\\nexec /a/nvidia-ctk", "/a/nvidia-ctk = #!/bin/sh\\nexec /b/nvidia-ctk", "/b/nvidia-ctk toolkit 1.17.8"],
        [f"{WRAPPER} = #!/bin/sh\\n/a/nvidia-ctk || /b/nvidia-ctk", "/a/nvidia-ctk toolkit 1.20.2", "/b/nvidia-ctk toolkit 1.17.8"],
    ],
    ids=["GPU operator", "name from the shell", "link", "Nix script", "Nix program", "two wrappers", "two programs"],
)  # fmt: skip
def test_a_wrapper_has_the_hooks_of_the_program_that_it_runs(lines: list[str], tmp_path: Path) -> None:
    lay_out_all(tmp_path, *lines)
    for script in (tmp_path / "usr/local/nvidia/toolkit/nvidia-ctk", tmp_path / "a/nvidia-ctk"):
        if script.exists():
            script.chmod(0o755)
    found = read(tmp_path, WRAPPER)
    assert (found.path, found.words) == (WRAPPER, WORDS["1.17.8"])


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([f"{DEFAULT} = #!/bin/sh\\nexit 3"], "is neither NVIDIA's program nor a known wrapper of it"),
        ([f"{DEFAULT} = #!/bin/sh\\n{DEFAULT} \"$@\""], "is neither NVIDIA's program nor a known wrapper of it"),
        (
            [f"{DEFAULT} = #!/bin/sh\\n[ $2 = {PROFILE} ] && exit 3\\nexec {DEFAULT}.real", f"{DEFAULT}.real toolkit 1.20.2"],
            "is a script that handles hooks itself",
        ),
        ([f"{DEFAULT} ="], "is neither NVIDIA's program nor a known wrapper of it"),
        ([f"{DEFAULT} library i386"], "is neither NVIDIA's program nor a known wrapper of it"),
        ([f"{DEFAULT} library x86_64"], "is neither NVIDIA's program nor a known wrapper of it"),
        ([f"{DEFAULT}/"], "is not a program"),
    ],
    ids=["script", "wrapper of itself", "script with hooks", "empty", "32 bits", "program without hooks", "folder"],
)  # fmt: skip
def test_an_unknown_program_is_not_used_and_the_reason_is_reported(lines: list[str], why: str, tmp_path: Path) -> None:
    lay_out_all(tmp_path, *lines)
    (tmp_path / "usr/bin/nvidia-ctk").chmod(0o755)
    assert read(tmp_path) == HookProgram(why=f"{DEFAULT} {why}, so that its hooks are unknown")


def test_a_program_that_cannot_be_executed_is_not_used(tmp_path: Path) -> None:
    lay_out_all(tmp_path, f"{DEFAULT} toolkit 1.20.2")
    (tmp_path / "usr/bin/nvidia-ctk").chmod(0o644)
    assert read(tmp_path).path is None


def test_a_large_program_without_hooks_is_not_used(tmp_path: Path) -> None:
    lay_out_all(tmp_path, f"{DEFAULT} library x86_64")
    program = tmp_path / "usr/bin/nvidia-ctk"
    program.write_bytes(program.read_bytes() + bytes(1 << 21))
    program.chmod(0o755)
    assert read(tmp_path) == HookProgram(why=f"{DEFAULT} has no hooks")


def test_a_configured_program_that_does_not_exist_is_not_used(tmp_path: Path) -> None:
    assert read(tmp_path, "/opt/nvidia-ctk") == HookProgram(why="/opt/nvidia-ctk does not exist")


def test_a_configured_program_that_is_not_mounted_is_used_with_the_hooks_of_every_release(tmp_path: Path) -> None:
    path = "/usr/local/nvidia/toolkit/nvidia-cdi-hook"
    found = read(tmp_path, path, driver="/run/nvidia/driver")
    assert (found.path, found.words) == (path, OLDEST)
    assert found.why is not None
    assert "is not mounted" in found.why
    assert read(tmp_path, driver="/run/nvidia/driver").path is None


def test_a_program_outside_the_driver_root_is_read_below_the_host_root(tmp_path: Path) -> None:
    path = "/usr/local/nvidia/toolkit/nvidia-cdi-hook"
    host = lay_out_all(tmp_path / "host", f"{path} toolkit 1.18.0")
    found = read(tmp_path / "driver", path, driver="/run/nvidia/driver", host=host)
    assert (found.path, found.words) == (path, WORDS["1.18.0"])


def test_a_program_in_a_driver_root_on_another_path_is_read_there(tmp_path: Path) -> None:
    lay_out_all(tmp_path, f"{DEFAULT} toolkit 1.18.0")
    found = read(tmp_path, f"/run/nvidia/driver{DEFAULT}", driver="/run/nvidia/driver")
    assert (found.path, found.words) == (f"/run/nvidia/driver{DEFAULT}", WORDS["1.18.0"])
    assert read(tmp_path, "/run/nvidia/driver-2/nvidia-ctk", driver="/run/nvidia/driver").words == OLDEST


def test_a_program_is_read_again_only_if_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []

    def record(path: Path, texts: Collection[bytes]) -> frozenset[bytes]:
        reads.append(path)
        return find_texts(path, texts)

    monkeypatch.setattr("gpu_core.cdi.hook_program.find_texts", record)
    reader, roots = HookProgramReader(HostRoot(tmp_path)), Roots(driver_mount=tmp_path)
    program = tmp_path / "usr/bin/nvidia-ctk"
    lay_out_all(tmp_path, f"{DEFAULT} toolkit 1.17.4")
    assert [reader.read(None, roots).words for _ in range(3)] == [WORDS["1.17.4"]] * 3
    lay_out_all(tmp_path, "/new toolkit 1.19.0")
    os.replace(tmp_path / "new", program)  # noqa: PTH105
    assert [reader.read(None, roots).words for _ in range(3)] == [WORDS["1.19.0"]] * 3
    assert reads == [program, program]


def test_wrappers_that_run_each_other_are_read_only_a_few_times(tmp_path: Path) -> None:
    names = [f"/a/nvidia-ctk-{number}" for number in range(30)]
    text = "#!/bin/sh\\n" + "\\n".join(names)
    lay_out_all(tmp_path, *(f"{name} = {text}" for name in names), f"{DEFAULT} = {text}")
    for path in (*tmp_path.glob("a/*"), tmp_path / "usr/bin/nvidia-ctk"):
        path.chmod(0o755)
    found = read(tmp_path)
    assert found.path is None
    assert found.why is not None
    assert found.why.endswith("so that its hooks are unknown")
