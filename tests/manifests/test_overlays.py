"""kustomize and Helm render equal objects for each overlay."""

import copy
import json
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from tests.manifests.helm import MANIFESTS, Obj, helm, load, named, template
from tests.manifests.kustomize import OVERLAYS, overlay

HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")
NOT_IN_CHART = ("Namespace",)
"""Helm creates the namespace with --create-namespace."""


def normalize(objects: Iterable[Obj]) -> dict[tuple[str, str], Obj]:
    """Returns the objects by kind and name, without the labels of Helm, and with sorted lists where the order has no effect."""
    return named(_normalize(each) for each in objects if each["kind"] not in NOT_IN_CHART)


def _normalize(obj: Obj) -> Obj:
    found = copy.deepcopy(obj)
    for key in HELM_LABELS:
        found["metadata"].get("labels", {}).pop(key, None)
    if found["kind"] == "DaemonSet":
        pod = found["spec"]["template"]["spec"]
        pod["volumes"].sort(key=_text)
        for container in pod["containers"]:
            for name in ("args", "env", "volumeMounts"):
                container[name].sort(key=_text)
    return found


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def from_chart(name: str) -> list[Obj]:
    folder = MANIFESTS / "overlays" / name
    with_crds = "../../crds" in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return load(template(f"--values={folder / 'values.yaml'}", *(["--include-crds"] if with_crds else [])))


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize("name", OVERLAYS)
def test_kustomize_and_helm_render_equal_objects(name: str) -> None:
    assert normalize(overlay(name)) == normalize(from_chart(name))


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize("name", OVERLAYS)
def test_the_chart_lints_with_the_values_of_an_overlay(name: str) -> None:
    values = MANIFESTS / "overlays" / name / "values.yaml"
    assert "0 chart(s) failed" in helm("lint", "--strict", str(MANIFESTS / "chart" / "gpunode"), f"--values={values}")


@pytest.mark.parametrize("name", OVERLAYS)
def test_both_files_of_an_overlay_start_with_the_same_comment(name: str) -> None:
    comments = [comment(name, file) for file in ("kustomization.yaml", "values.yaml")]
    assert comments[0] == comments[1]
    assert comments[0]


def comment(name: str, file: str) -> list[str]:
    lines = (MANIFESTS / "overlays" / name / file).read_text().splitlines()
    first_other = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    return lines[:first_other]


def test_the_comparison_detects_differences() -> None:
    one: list[Any] = [daemon_set("--a", "--b"), {"kind": "Namespace", "metadata": {"name": "n"}}]
    assert normalize(one) == normalize([daemon_set("--b", "--a")])
    assert normalize(one) != normalize([daemon_set("--a")])


def daemon_set(*args: str) -> Obj:
    container = {"args": list(args), "env": [], "volumeMounts": []}
    labels = {"helm.sh/chart": "gpunode-0.1.0"} if len(args) == 2 else {}
    spec = {"template": {"spec": {"volumes": [], "containers": [container]}}}
    return {"kind": "DaemonSet", "metadata": {"name": "d", "labels": labels}, "spec": spec}
