"""The generated manifests are up to date, and the kustomizations list all of them."""

import pytest
import yaml

from tests.manifests.generated import HEAD, render_all, split_sources
from tests.manifests.helm import MANIFESTS


@pytest.mark.usefixtures("helm_binary")
def test_the_generated_files_are_up_to_date() -> None:
    for file, content in render_all().items():
        assert (MANIFESTS / file).read_text() == content, f"{file} is outdated: run `make manifests`"


@pytest.mark.parametrize("folder", ["base", "cleanup", "crds", "overlays/gke-cos", "overlays/single-process"])
def test_a_kustomization_lists_all_files_of_its_folder(folder: str) -> None:
    named = yaml.safe_load((MANIFESTS / folder / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in (MANIFESTS / folder).iterdir()} - {"kustomization.yaml", "values.yaml"}
    assert {name for name in named if not name.startswith("..")} == files


def test_the_output_of_helm_is_split_by_file_without_helm_labels() -> None:
    output = (
        "---\n# Source: gpunode/templates/b.yaml\na: 1\n  helm.sh/chart: gpunode-0.1.0\n\n"
        "---\n# Source: gpunode/templates/a.yaml\nb: 1\n"
        "---\n# Source: gpunode/templates/b.yaml\n# why\na: 2\n  app.kubernetes.io/managed-by: Helm\n"
    )
    assert split_sources(output) == {"b.yaml": f"{HEAD}a: 1\n---\n# why\na: 2\n", "a.yaml": f"{HEAD}b: 1\n"}
    assert split_sources("") == {}
