"""The record of an unfinished change."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gpu_core.domain.inventory import GpuUuid
from gpu_core.mig.model import Placement
from gpu_core.mig.plan import Layout, NewInstance
from mig_manager.journal import Change, Journal, journal_path
from node_core.errors import MigError
from node_core.values import replace

LAYOUTS = st.builds(
    Layout,
    is_enabled=st.booleans(),
    instances=st.lists(
        st.builds(
            NewInstance,
            profile=st.integers(0, 20),
            placement=st.builds(Placement, start=st.integers(0, 7), size=st.integers(1, 8)),
            compute=st.lists(st.integers(0, 8), max_size=7).map(tuple),
        ),
        max_size=7,
    ).map(tuple),
)
CHANGE = Change(gpu=GpuUuid("GPU-0"), before=Layout(is_enabled=False), after=Layout(is_enabled=True))


@given(before=LAYOUTS, after=LAYOUTS)
def test_a_recorded_change_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, before: Layout, after: Layout
) -> None:
    path = tmp_path_factory.mktemp("journal") / "mig.json"
    change = Change(gpu=GpuUuid("GPU-0"), before=before, after=after)
    Journal(path).write([change, CHANGE])
    assert Journal(path).read() == (change, CHANGE)


def test_an_addition_retains_the_changes_of_other_gpus_and_the_first_layout_of_the_same_gpu(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "mig.json")
    other = replace(CHANGE, gpu=GpuUuid("GPU-1"))
    journal.write([CHANGE, other])
    assert journal.add([Change(gpu=CHANGE.gpu, before=CHANGE.after, after=CHANGE.before)]) == (other,)
    assert journal.read() == (other, replace(CHANGE, after=CHANGE.before))
    journal.write([])
    assert not (tmp_path / "mig.json").exists()


def test_a_cleared_journal_contains_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "mig.json")
    journal.write([CHANGE])
    journal.clear()
    journal.clear()
    assert journal.read() == ()
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"changes": [{"gpu": 1}]}'])
def test_a_damaged_file_is_logged_and_ignored(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mig.json"
    path.write_bytes(content)
    with capture_logs() as logs:
        assert Journal(path).read() == ()
    assert [each["event"] for each in logs] == ["mig_journal_unreadable"]


def test_a_file_of_another_version_prevents_a_change(tmp_path: Path) -> None:
    path = tmp_path / "mig.json"
    path.write_text('{"version": 2, "changes": []}')
    with pytest.raises(MigError, match=r"mig.json has version 2"):
        Journal(path).read()


def test_a_file_that_cannot_be_read_prevents_a_change(tmp_path: Path) -> None:
    path = tmp_path / "mig.json"
    path.mkdir()
    with pytest.raises(MigError, match=r"the journal .*mig.json"):
        Journal(path).read()


def test_a_folder_that_does_not_exist_contains_no_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Journal(tmp_path / "file" / "mig.json").read() == Journal(tmp_path / "absent" / "mig.json").read() == ()


def test_a_change_does_not_begin_if_it_cannot_be_recorded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MigError, match="--state-dir"):
        Journal(tmp_path / "file" / "mig.json").write([CHANGE])


def test_without_a_path_nothing_is_recorded() -> None:
    journal = Journal(None)
    journal.write([CHANGE])
    journal.clear()
    assert journal.read() == ()


def test_a_simulated_node_does_not_use_the_journal_of_the_real_gpus(tmp_path: Path) -> None:
    assert journal_path(tmp_path, is_simulated=False) != journal_path(tmp_path, is_simulated=True)
    assert journal_path(None, is_simulated=False) is None


def test_one_attempt_at_a_time_has_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mig.json"
    with Journal(path).lock():
        with pytest.raises(MigError, match="another process"), Journal(path).lock():
            pass
        with Journal(tmp_path / "other.json").lock(), Journal(None).lock():
            pass
    with Journal(path).lock():
        pass


def test_a_folder_that_cannot_be_created_prevents_no_attempt(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Journal(tmp_path / "file" / "mig.json").lock():
        pass
