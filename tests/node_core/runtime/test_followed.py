"""The settings that count now: what is known, what is reported, and how often."""

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node_core.domain.labels import Labels
from node_core.errors import KubeError
from node_core.runtime.followed import Followed
from node_core.runtime.named_config import LABEL, ConfigFolder, NamedConfigOptions, NamedConfigs
from node_core.runtime.services import Services

UNSEEN = "has not happened yet"


class Bench:
    """Settings are the text of the file. labels: of the Node; an error is raised."""

    def __init__(self, directory: Path) -> None:
        self.labels: Labels | KubeError | None = None
        self.services = Services()
        configs = NamedConfigs(
            ConfigFolder(directory, lambda: None),
            NamedConfigOptions(place=directory),
            lambda config: config.content.decode() if config else "",
        )
        self.current: Callable[[], str | None] = Followed("gfd", configs, self._labels, self.services)

    def _labels(self) -> Labels | None:
        if isinstance(self.labels, KubeError):
            raise self.labels
        return self.labels

    @property
    def problem(self) -> str | None:
        return self.services.readiness.problems()["gfd/config"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "default").write_text("one")
    (tmp_path / "two").write_text("two")
    return Bench(tmp_path)


def by(bench: Bench, label: str) -> str | None:
    bench.labels = {LABEL: label}
    return bench.current()


def test_nothing_counts_before_the_node_was_seen(bench: Bench) -> None:
    assert (bench.current(), bench.problem) == (None, UNSEEN)
    bench.labels = {}
    assert (bench.current(), bench.problem) == ("one", None)


def test_the_label_chooses_at_each_look_and_a_wrong_one_is_said_and_counted_once(bench: Bench) -> None:
    found = [by(bench, "two")]
    with capture_logs() as said:
        found += [by(bench, "three"), by(bench, "three"), by(bench, "two")]
    assert found == ["two"] * 4
    assert [line["event"] for line in said] == ["not_ready", "config_applied", "ready"]
    assert b'gpunode_errors_total{agent="gfd",check="config"} 1.0' in bench.services.metrics.render()


def test_a_wrong_config_from_the_start_leaves_everything_unknown(bench: Bench) -> None:
    assert by(bench, "three") is None
    assert "'three', which is not there" in str(bench.problem)


def test_a_node_that_cannot_be_read_keeps_what_counts(bench: Bench) -> None:
    by(bench, "two")
    bench.labels = KubeError("the API server does not answer")
    assert bench.current() == "two"
    assert "does not answer" in str(bench.problem)
