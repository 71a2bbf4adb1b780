"""Runs the pinned version of Helm, which is built at the first use."""

import functools
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.cluster.build import build, built, cache_folder
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.pins import HELM

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
CHART = MANIFESTS / "chart" / "gpunode"
NAMESPACE = "gpunode"
NO_HELM = "Helm is missing and must be built: install Go 1.21 or newer"

Obj = dict[str, Any]


def missing() -> str | None:
    """Returns why the tests of the chart cannot run, or None. In CI always None, so that tests fail on a machine without Go."""
    can_run = built(cache_folder(), [HELM]) or shutil.which("go") is not None
    return None if can_run or os.environ.get("CI", "").lower() == "true" else NO_HELM


@functools.cache
def binary() -> str:
    return str(build(cache_folder(), print, [HELM]) / HELM.name)


def helm(*arguments: str, check: bool = True) -> str:
    """Runs Helm and returns its output. Helm reads no files of the user."""
    missing_folders = {f"HELM_{name}_HOME": "/nonexistent" for name in ("CACHE", "CONFIG", "DATA")}
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **missing_folders}
    return run(binary(), *arguments, check=check, environment=environment)


def template(*arguments: str, chart: Path = CHART) -> str:
    return helm("template", "gpunode", str(chart), "--namespace", NAMESPACE, *arguments)


def load(text: str) -> list[Obj]:
    return [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]


def named(objects: Iterable[Obj]) -> dict[tuple[str, str], Obj]:
    """Returns the objects by kind and name, which are unique in the manifests."""
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}
