"""Builds the manifests with kustomize."""

import functools
from pathlib import Path

from tests.e2e.cluster.cluster import KUBECTL
from tests.e2e.cluster.commands import run
from tests.manifests.helm import MANIFESTS, Obj, load

OVERLAYS = tuple(sorted(path.name for path in (MANIFESTS / "overlays").iterdir()))


@functools.cache
def built(folder: Path) -> tuple[Obj, ...]:
    return tuple(load(run(str(KUBECTL), "kustomize", str(folder))))


def overlay(name: str) -> tuple[Obj, ...]:
    return built(MANIFESTS / "overlays" / name)


def of_kind(objects: tuple[Obj, ...], kind: str) -> dict[str, Obj]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}
