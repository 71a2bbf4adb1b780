"""The folder of feature files: what is read, what is passed over, what stays when it cannot be read."""

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nfd_lite.sources import Host, SourceSettings, collect
from nfd_lite.sources.collect import Collection, add_custom
from nfd_lite.sources.local import LIMIT, LOCAL, MAX_FILES
from node_core.domain.labels import Collected, merge_collected
from node_core.errors import HostReadError
from node_core.host.cpuid_decode import CpuInfo
from node_core.host.root import HostRoot, Unfit

PREFIX = "feature.node.kubernetes.io/"
FOLDER = "etc/kubernetes/node-feature-discovery/features.d"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / FOLDER
    made.mkdir(parents=True)
    return made


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(root=HostRoot(tmp_path), cpu=lambda _root: CpuInfo(arch="x86_64", how="test"), now=lambda: 1000.0)


def look(host: Host, settings: SourceSettings | None = None) -> Collection:
    return collect(host, settings or SourceSettings(), (LOCAL,))


def labels(collection: Collection, known: dict[str, str] | None = None) -> dict[str, str]:
    return {
        key.removeprefix(PREFIX): value for key, value in merge_collected(collection.collected, known or {}).items()
    }


def test_files_are_read_in_the_order_of_their_names_and_hidden_ones_are_not(folder: Path, host: Host) -> None:
    (folder / "20-b").write_text("both=second\nvendor.com/x=1\n")
    (folder / "10-a").write_text("both=first\na\n")
    (folder / ".hidden").write_text("hidden\n")
    collection = look(host)
    assert labels(collection) == {"a": "true", "both": "second", "vendor.com/x": "1"}
    assert collection.features.attributes["local.label"] == {"both": "second", "a": "true", "vendor.com/x": "1"}
    assert collection.features.attributes["local.feature"] == collection.features.attributes["local.label"]
    assert (collection.errors, collection.problems, collection.expires_at) == ({}, {}, None)


def test_a_key_with_its_prefix_wins_over_one_without(folder: Path, host: Host) -> None:
    (folder / "a").write_text(f"{PREFIX}x=prefixed\n")
    (folder / "b").write_text("x=plain\n")
    assert labels(look(host)) == {"x": "prefixed"}


def test_no_folder_is_no_failure_and_the_features_are_there_and_empty(host: Host) -> None:
    collection = look(host)
    assert collection.features.attributes == {"local.label": {}, "local.feature": {}}
    assert (labels(collection), collection.errors, collection.problems) == ({}, {}, {})


def test_a_file_that_is_taken_away_takes_its_labels_along(folder: Path, host: Host) -> None:
    (folder / "a").write_text("a=1\n")
    known = merge_collected(look(host).collected, {})
    (folder / "a").unlink()
    assert merge_collected(look(host).collected, known) == {}


def test_our_own_output_never_comes_back_in(folder: Path, host: Host) -> None:
    (folder / "nfd-lite").write_text("mine\n")
    (folder / "other").write_text("theirs\n")
    assert labels(look(host)) == {"theirs": "true"}
    assert "mine" in labels(look(host, SourceSettings(own_file="/elsewhere")))


def test_another_folder_can_be_named(tmp_path: Path, host: Host) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("a\n")
    assert labels(look(host, SourceSettings(features_dir="/mine"))) == {"a": "true"}


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    # a unix socket's path has room for about a hundred characters
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (make_fifo, "is not a regular file"),
        (make_socket, "is not a regular file"),
        (Path.mkdir, "is not a regular file"),
        (make_device, "leads out of its folder"),
        (lambda path: path.symlink_to("/etc/hostname"), "leads out of its folder"),
        (lambda path: path.symlink_to("../features.d-not"), "leads out of its folder"),
        (lambda path: path.symlink_to("nowhere"), "leads nowhere"),
        (lambda path: path.symlink_to(path.name), "leads nowhere"),
        (lambda path: path.write_bytes(b"a=1\n" * LIMIT), f"is larger than {LIMIT} bytes"),
        (lambda path: path.write_bytes(b"a=\xff\n"), "is not a UTF-8 text file"),
        (lambda path: path.write_bytes(b"a=1\nb=\0\n"), "is a binary file"),
    ],
    ids=["FIFO", "socket", "folder", "endless", "absolute link", "link to a neighbour", "dangling", "loop", "large", "not UTF-8", "binary"],
)  # fmt: skip
def test_what_is_no_text_file_is_one_problem_and_costs_no_other(
    make: Callable[[Path], None], why: str, folder: Path, host: Host
) -> None:
    (folder.parent / "features.d-not").write_text("stolen=1\n")
    (folder / "a").write_text("a=1\n")
    make(folder / "bad")
    (folder / "z").write_text("z=1\n")
    collection = look(host)
    (problem,) = collection.problems["local.label"]
    assert problem.startswith(f"/{FOLDER}/bad ")
    assert why in problem
    assert labels(collection) == {"a": "1", "z": "1"}
    assert collection.errors == {}


def test_a_file_of_exactly_the_limit_is_read(folder: Path, host: Host) -> None:
    (folder / "a").write_text("a=1\n" + "#" * (LIMIT - 4))
    assert labels(look(host)) == {"a": "1"}


def test_a_config_map_is_followed_through_its_links(folder: Path, host: Host) -> None:
    (folder / "..2026_01").mkdir()
    (folder / "..2026_01" / "a").write_text("a=1\n")
    (folder / "..data").symlink_to("..2026_01")
    (folder / "a").symlink_to("..data/a")
    collection = look(host)
    assert labels(collection) == {"a": "1"}
    assert collection.problems == {}


def test_wrong_lines_are_told_with_file_and_line(folder: Path, host: Host) -> None:
    (folder / "a").write_text("a=1\n!\n")
    collection = look(host)
    assert labels(collection) == {"a": "1"}
    (problem,) = collection.problems["local.label"]
    assert problem.startswith(f"/{FOLDER}/a: line 2: '!' is no key")


def test_files_beyond_counting_are_passed_over(folder: Path, host: Host) -> None:
    for index in range(MAX_FILES + 5):
        (folder / f"{index:06}").write_text(f"l{index}\n")
    collection = look(host)
    assert len(labels(collection)) == MAX_FILES
    assert len(collection.problems["local.label"]) == 1


def test_labels_end_when_they_expire_and_the_next_time_to_look_is_known(folder: Path, host: Host) -> None:
    (folder / "a").write_text("# +expiry-time=1970-01-01T00:20:00Z\na\n# +expiry-time=1970-01-01T00:30:00Z\nb\n")
    (folder / "b").write_text("c\n")
    assert look(host).expires_at == 1200
    later = look(replace(host, now=lambda: 1200.0))
    assert (labels(later), later.expires_at) == ({"b": "true", "c": "true"}, 1800)
    assert look(replace(host, now=lambda: 1800.0)).expires_at is None


class Failing(HostRoot):
    """Fails where it is told to: tests run as root, whom no permission stops."""

    __slots__ = ("bad",)
    bad: set[str]

    def read_own(self, folder: str, name: str, *, limit: int) -> bytes | Unfit | None:
        if name in self.bad:
            raise HostReadError(f"cannot read {folder}/{name}: Permission denied")
        return HostRoot.read_own(self, folder, name, limit=limit)

    def entries(self, host_path: str) -> tuple[str, ...]:
        if host_path in self.bad:
            raise HostReadError(f"cannot list {host_path}: Input/output error")
        return HostRoot.entries(self, host_path)


def failing(root: HostRoot, *bad: str) -> Failing:
    made = Failing(root.base)
    object.__setattr__(made, "bad", set(bad))
    return made


def test_a_file_that_cannot_be_read_says_what_it_said_before(folder: Path, host: Host) -> None:
    (folder / "a").write_text("# +expiry-time=1970-01-01T00:20:00Z\na=1\n")
    (folder / "b").write_text("b=1\n")
    look(host)
    (folder / "b").unlink()
    hidden = replace(host, root=failing(host.root, "a"))
    collection = look(hidden)
    assert labels(collection, {f"{PREFIX}b": "1", "other.com/x": "1"}) == {"a": "1"}, (
        "of `b` it is known that it is gone"
    )
    assert collection.problems["local.label"] == (f"cannot read /{FOLDER}/a: Permission denied",)
    assert labels(look(replace(hidden, now=lambda: 1200.0))) == {}, "it expires all the same"


def test_a_file_that_never_could_be_read_keeps_all_labels_whose_origin_nobody_knows(folder: Path, host: Host) -> None:
    (folder / "a").write_text("a=1\n")
    (folder / "b").write_text("b=1\n")
    collection = look(replace(host, root=failing(host.root, "a")))
    known = {f"{PREFIX}a": "old", f"{PREFIX}b": "old", "vendor.com/x": "1"}
    assert labels(collection, known) == {"a": "old", "b": "1", "vendor.com/x": "1"}
    assert set(collection.errors) == {"local.label", "local.feature"}


def test_a_folder_that_cannot_be_listed_changes_nothing(folder: Path, host: Host) -> None:
    (folder / "a").write_text("a=1\n")
    broken = replace(host, root=failing(host.root, f"/{FOLDER}"))
    first = look(broken)
    assert labels(first, {"vendor.com/x": "1"}) == {"vendor.com/x": "1"}
    assert set(first.errors) == {"local.label", "local.feature"}
    look(host)
    again = look(broken)
    assert labels(again, {"vendor.com/x": "1"}) == {"a": "1"}
    assert again.features.attributes["local.feature"] == {"a": "1"}
    assert "said before" in again.problems["local.label"][0]


def test_feature_files_win_over_custom_rules_and_those_over_all_else(folder: Path, host: Host) -> None:
    (folder / "a").write_text("x=file\n")
    collected = collect(host, SourceSettings()).collected
    custom = Collected(name="custom", labels={f"{PREFIX}x": "rule", f"{PREFIX}cpu-model.id": "rule"}, rest=True)
    merged = merge_collected(add_custom(collected, custom), {})
    assert merged[f"{PREFIX}x"] == "file"
    assert merged[f"{PREFIX}cpu-model.id"] == "rule"
    assert add_custom((), custom) == (custom,)
