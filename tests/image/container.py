"""Runs a program in an image as in its DaemonSet: without root, capabilities or network, on a read-only root."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.e2e.cluster.commands import run

TIMEOUT_SECONDS = 50


def plan_container(
    spec: dict[str, Any], root: Path, command: Sequence[str], environment: Mapping[str, str], mounts: Mapping[str, Path]
) -> dict[str, Any]:
    """Changes the config.json of `runc spec`. mounts: folders of this machine by their path in the container, read-only."""
    process = spec["process"] | {
        "terminal": False,
        "user": {"uid": 65532, "gid": 65532},
        "args": list(command),
        "env": [f"{name}={value}" for name, value in environment.items()],
        "noNewPrivileges": True,
        "capabilities": {kind: [] for kind in spec["process"]["capabilities"]},
    }
    bound = [
        {"destination": path, "source": str(source), "type": "bind", "options": ["rbind", "ro"]}
        for path, source in mounts.items()
    ]
    return spec | {
        "process": process,
        "root": {"path": str(root), "readonly": True},
        "mounts": [*spec["mounts"], *bound],
    }


class Container:
    """folder: of the OCI bundle."""

    def __init__(self, folder: Path, root: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self._folder = folder
        self._environment = environment
        run("runc", "spec", "--bundle", str(folder))
        self._spec = json.loads((folder / "config.json").read_text())

    def run(self, *command: str, mounts: Mapping[str, Path] | None = None) -> subprocess.CompletedProcess[str]:
        planned = plan_container(self._spec, self.root, command, self._environment, mounts or {})
        (self._folder / "config.json").write_text(json.dumps(planned))
        return subprocess.run(
            ["runc", "run", "--bundle", str(self._folder), f"gpunode-{uuid4()}"],
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
