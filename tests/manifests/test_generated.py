"""The manifests that are made from the chart are what it makes today, and a kustomization leaves none of them out."""

import pytest
import yaml

from tests.manifests.generated import HEAD, render_all, split_sources
from tests.manifests.helm import MANIFESTS


@pytest.mark.usefixtures("helm_binary")
def test_files_are_what_the_chart_makes() -> None:
    for file, content in render_all().items():
        assert (MANIFESTS / file).read_text() == content, f"{file}: `make manifests` writes it anew"


@pytest.mark.parametrize("folder", ["base", "cleanup", "crds", "overlays/gke-cos", "overlays/single-process"])
def test_a_kustomization_names_all_files_of_its_folder(folder: str) -> None:
    named = yaml.safe_load((MANIFESTS / folder / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in (MANIFESTS / folder).iterdir()} - {"kustomization.yaml", "values.yaml"}
    assert {name for name in named if not name.startswith("..")} == files


def test_what_helm_prints_is_split_by_file_and_loses_what_is_helms() -> None:
    printed = (
        "---\n# Source: gpunode/templates/b.yaml\na: 1\n  helm.sh/chart: gpunode-0.1.0\n\n"
        "---\n# Source: gpunode/templates/a.yaml\nb: 1\n"
        "---\n# Source: gpunode/templates/b.yaml\n# why\na: 2\n  app.kubernetes.io/managed-by: Helm\n"
    )
    assert split_sources(printed) == {"b.yaml": f"{HEAD}a: 1\n---\n# why\na: 2\n", "a.yaml": f"{HEAD}b: 1\n"}
    assert split_sources("") == {}
