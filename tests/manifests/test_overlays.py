"""Each overlay is the same objects for who applies it with kubectl and for who gives its values to Helm."""

import copy
import json
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from tests.manifests.helm import MANIFESTS, Obj, helm, load, named, template
from tests.manifests.kustomize import OVERLAYS, overlay

OF_HELM = ("helm.sh/chart", "app.kubernetes.io/managed-by")
NOT_OF_CHART = ("Namespace",)
"""Helm makes it with --create-namespace."""


def normal(objects: Iterable[Obj]) -> dict[tuple[str, str], Obj]:
    """Without what says how they were installed, and with lists whose order means nothing in an order."""
    return named(_normal(each) for each in objects if each["kind"] not in NOT_OF_CHART)


def _normal(obj: Obj) -> Obj:
    found = copy.deepcopy(obj)
    for key in OF_HELM:
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
def test_kustomize_and_helm_install_the_same(name: str) -> None:
    assert normal(overlay(name)) == normal(from_chart(name))


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize("name", OVERLAYS)
def test_the_chart_is_sound_with_the_values_of_an_overlay(name: str) -> None:
    values = MANIFESTS / "overlays" / name / "values.yaml"
    assert "0 chart(s) failed" in helm("lint", "--strict", str(MANIFESTS / "chart" / "gpunode"), f"--values={values}")


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_says_what_it_is_for_in_both_its_files_alike(name: str) -> None:
    said = [comment(name, file) for file in ("kustomization.yaml", "values.yaml")]
    assert said[0] == said[1]
    assert said[0]


def comment(name: str, file: str) -> list[str]:
    lines = (MANIFESTS / "overlays" / name / file).read_text().splitlines()
    first_other = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    return lines[:first_other]


def test_the_check_finds_what_differs() -> None:
    one: list[Any] = [daemon_set("--a", "--b"), {"kind": "Namespace", "metadata": {"name": "n"}}]
    assert normal(one) == normal([daemon_set("--b", "--a")])
    assert normal(one) != normal([daemon_set("--a")])


def daemon_set(*args: str) -> Obj:
    container = {"args": list(args), "env": [], "volumeMounts": []}
    labels = {"helm.sh/chart": "gpunode-0.1.0"} if len(args) == 2 else {}
    spec = {"template": {"spec": {"volumes": [], "containers": [container]}}}
    return {"kind": "DaemonSet", "metadata": {"name": "d", "labels": labels}, "spec": spec}
