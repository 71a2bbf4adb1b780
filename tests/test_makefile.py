"""The Makefile: its list of commands, and `make image` with the programs of a machine."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs make with the programs of a folder before those of the system."""
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def add_program(folder: Path, name: str, *, fails_at: str = "-") -> None:
    """A program that prints its arguments, and fails if the first argument is `fails_at`."""
    path = folder / name
    path.write_text(f'#!/bin/sh\n[ "$1" = "{fails_at}" ] && exit 1\necho "{name} $*"\n')
    path.chmod(0o755)


@pytest.mark.parametrize("tool", ["buildah", "podman"])
def test_an_image_is_built_with_the_first_program_that_exists(tool: str, tmp_path: Path) -> None:
    add_program(tmp_path, tool)
    add_program(tmp_path, "docker")
    missing = ["BUILDAH=not-installed"] if tool == "podman" else []
    done = make(tmp_path, "image", "IMAGE=r.example/gpunode:1", "PLATFORM=linux/arm64", *missing)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tool} build --layers --timestamp ")
    assert "--platform linux/arm64 " in done.stdout
    assert done.stdout.endswith("--tag r.example/gpunode:1 .\n")


def test_docker_builds_with_buildx_from_the_containerfile(tmp_path: Path) -> None:
    add_program(tmp_path, "docker")
    done = make(tmp_path, "image", "IMAGE_TOOL=docker", "IMAGE=r.example/gpunode:1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("docker buildx build --file Containerfile --load --platform linux/")
    assert not re.search("--(layers|timestamp)", done.stdout), "flags of buildah"


@pytest.mark.parametrize(
    ("tool", "message"), [("", "Install buildah, podman, or docker with buildx"), ("docker", "docker has no buildx")]
)
def test_a_missing_program_is_named_with_what_to_install(tool: str, message: str, tmp_path: Path) -> None:
    add_program(tmp_path, "docker", fails_at="buildx")
    done = make(tmp_path, "image", f"IMAGE_TOOL={tool}")
    assert done.returncode == 2
    assert message in done.stderr


def test_the_list_of_commands_is_complete_and_aligned(tmp_path: Path) -> None:
    lines = make(tmp_path, "help").stdout.splitlines()
    text = (ROOT / "Makefile").read_text()
    assert [line.split()[1] for line in lines] == re.findall(r"^([\w-]+):.*## ", text, re.MULTILINE)
    assert {re.match(r"  make [\w-]+ +", line).end() for line in lines} == {24}  # type: ignore[union-attr]
    assert "e2e" in {line.split()[1] for line in lines}
