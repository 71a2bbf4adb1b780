"""Without Helm, the tests of the chart are skipped with one line; in CI they fail."""

from pathlib import Path

import pytest

from tests.e2e.cluster.build import build
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.pins import HELM, pins_digest
from tests.manifests.helm import NO_HELM, missing


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a machine without Go."""
    monkeypatch.setenv("GPUNODE_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.mark.usefixtures("cache")
def test_without_helm_and_go_the_reason_is_one_line() -> None:
    assert missing() == NO_HELM
    assert "\n" not in NO_HELM


def test_a_built_helm_is_sufficient(cache: Path) -> None:
    folder = cache / pins_digest([HELM])
    folder.mkdir()
    (folder / HELM.name).touch()
    assert missing() is None


def test_ci_fails_instead_of_skipping(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert missing() is None
    with pytest.raises((ClusterError, FileNotFoundError)):
        build(cache, print, [HELM])
