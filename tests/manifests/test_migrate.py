"""Helm accepts the values of `gpunode migrate`."""

from pathlib import Path

import pytest
import yaml

from tests.gpunode.migrate.test_command import FILES
from tests.gpunode.verbs import run_verb
from tests.manifests.helm import NAMESPACE, load, named, template


def rendered(folder: Path, *files: Path) -> dict[tuple[str, str], dict[str, object]]:
    path = folder / "values.yaml"
    path.write_text(run_verb("migrate", *map(str, files)).stdout)
    return named(load(template(f"--values={path}")))


@pytest.mark.usefixtures("helm_binary")
@pytest.mark.parametrize("name", FILES)
def test_the_chart_renders_with_the_values(name: str, tmp_path: Path) -> None:
    found = rendered(tmp_path, FILES[name])
    values = yaml.safe_load((tmp_path / "values.yaml").read_text())
    agents = {"nfd": "nfd-lite", "gfd": "gfd", "devicePlugin": "gpu-device-plugin"}
    for section, agent in agents.items():
        is_on = values.get(section, {}).get("enabled", True)
        assert (("DaemonSet", agent) in found) == is_on
    assert all(each.get("metadata", {}).get("namespace", NAMESPACE) == NAMESPACE for each in found.values())  # type: ignore[attr-defined]


@pytest.mark.usefixtures("helm_binary")
def test_the_values_of_two_charts_render_together(tmp_path: Path) -> None:
    found = rendered(tmp_path, FILES["device-plugin"], FILES["node-feature-discovery"])
    assert {name for kind, name in found if kind == "DaemonSet"} == {"nfd-lite", "gpu-device-plugin"}
