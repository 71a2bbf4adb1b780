"""Where Helm cannot be had: a person's machine skips its tests with one line, CI fails."""

from pathlib import Path

import pytest

from tests.e2e.cluster.build import build
from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.pins import HELM, pins_digest
from tests.manifests.helm import NO_HELM, missing


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a machine without Go."""
    monkeypatch.setenv("GPUNODE_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.mark.usefixtures("cache")
def test_without_helm_and_go_the_reason_is_a_line() -> None:
    assert missing() == NO_HELM
    assert "\n" not in NO_HELM


def test_a_helm_that_was_built_is_enough(cache: Path) -> None:
    folder = cache / pins_digest([HELM])
    folder.mkdir()
    (folder / HELM.name).touch()
    assert missing() is None


def test_ci_does_not_skip_and_fails(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert missing() is None
    with pytest.raises((ClusterError, FileNotFoundError)):
        build(cache, print, [HELM])
