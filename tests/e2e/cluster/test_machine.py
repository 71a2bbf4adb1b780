"""The changes outside the run dir are reversed."""

from pathlib import Path

import pytest

from tests.e2e.cluster.errors import ClusterError
from tests.e2e.cluster.machine import (
    claim_folders,
    is_ours,
    release_folders,
    remove_cgroups,
    restore_sysctls,
    save_sysctls,
)


def test_created_folders_are_removed_with_their_content(tmp_path: Path) -> None:
    new, shared = tmp_path / "new", tmp_path / "a" / "shared"
    claim_folders(tmp_path, (new,), (shared,))
    assert is_ours(new, tmp_path)
    assert is_ours(shared, tmp_path)
    (new / "pods").mkdir()
    (new / "pods" / "file").touch()
    release_folders(tmp_path, (new, shared))
    assert not new.exists()
    assert not shared.exists()


def test_folders_of_another_cluster_are_retained(tmp_path: Path) -> None:
    kubelet = tmp_path / "kubelet"
    claim_folders(tmp_path / "theirs", (kubelet,), ())
    release_folders(tmp_path / "mine", (kubelet,))
    with pytest.raises(ClusterError):
        claim_folders(tmp_path / "mine", (kubelet,), ())
    assert is_ours(kubelet, tmp_path / "theirs")


def test_a_shared_folder_that_existed_before_is_retained(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "precious").touch()
    claim_folders(tmp_path, (), (shared,))
    release_folders(tmp_path, (shared,))
    assert [path.name for path in shared.iterdir()] == ["precious"]


def test_a_real_node_is_refused_before_any_change(tmp_path: Path) -> None:
    kubelet, other, shared = tmp_path / "kubelet", tmp_path / "other", tmp_path / "shared"
    kubelet.mkdir()
    with pytest.raises(ClusterError, match=r"kubelet exists.*real node"):
        claim_folders(tmp_path, (other, kubelet), (shared,))
    assert [path.name for path in tmp_path.iterdir()] == ["kubelet"]
    release_folders(tmp_path, (other, kubelet, shared))
    assert kubelet.exists()


def test_sysctls_are_restored(tmp_path: Path) -> None:
    changed, kept, absent = tmp_path / "changed", tmp_path / "kept", tmp_path / "absent"
    changed.write_text("1\n")
    kept.write_text("0\n")
    save_sysctls(tmp_path / "saved", (changed, kept, absent))
    changed.write_text("10\n")
    kept.chmod(0o400)
    restore_sysctls(tmp_path / "saved")
    assert changed.read_text() == "1"
    assert kept.read_text() == "0\n"
    assert not absent.exists()


def test_without_saved_sysctls_nothing_is_written(tmp_path: Path) -> None:
    restore_sysctls(tmp_path / "saved")


def test_only_the_cgroups_of_pods_are_removed_in_both_versions(tmp_path: Path) -> None:
    for folder in (
        "kubepods/burstable/pod1/c1",
        "memory/kubepods/besteffort/pod2",
        "memory/others",
        "cpu/deeper/kubepods/x",
    ):
        (tmp_path / folder).mkdir(parents=True)
    remove_cgroups(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not any(path.iterdir())) == [
        "cpu/deeper/kubepods/x",
        "memory/others",
    ]
