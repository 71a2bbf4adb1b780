"""The folder of feature files: read and ignored files, and labels that are retained after errors."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from nfd_lite.cpu.cpuid_decode import CpuInfo
from nfd_lite.sources import Host, SourceSettings, collect
from nfd_lite.sources.collect import Collection, insert_custom_results
from nfd_lite.sources.local import LIMIT, LOCAL, MAX_FILES
from node_core.domain.desired import CollectorResult, merge_labels
from node_core.errors import HostReadError
from node_core.host.root import HostRoot, NotReadable
from node_core.values import replace

PREFIX = "feature.node.kubernetes.io/"
FOLDER = "etc/kubernetes/node-feature-discovery/features.d"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    built = tmp_path / FOLDER
    built.mkdir(parents=True)
    return built


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(root=HostRoot(tmp_path), cpu=lambda _root: CpuInfo(arch="x86_64", method="test"), now=lambda: 1000.0)


def scan(host: Host, settings: SourceSettings | None = None) -> Collection:
    return collect(host, settings or SourceSettings(), LOCAL)


def labels(collection: Collection, known: dict[str, str] | None = None) -> dict[str, str]:
    return {key.removeprefix(PREFIX): value for key, value in merge_labels(collection.results, known or {}).items()}


def test_files_are_read_in_order_of_their_names_without_hidden_files(folder: Path, host: Host) -> None:
    (folder / "20-b").write_text("both=second\nvendor.com/x=1\n")
    (folder / "10-a").write_text("both=first\na\n")
    (folder / ".hidden").write_text("hidden\n")
    collection = scan(host)
    assert labels(collection) == {"a": "true", "both": "second", "vendor.com/x": "1"}
    assert collection.features.attributes["local.label"] == {"both": "second", "a": "true", "vendor.com/x": "1"}
    assert collection.features.attributes["local.feature"] == collection.features.attributes["local.label"]
    assert (collection.errors, collection.problems, collection.expires_at) == ({}, {}, None)


def test_a_key_with_the_prefix_takes_precedence(folder: Path, host: Host) -> None:
    (folder / "a").write_text(f"{PREFIX}x=prefixed\n")
    (folder / "b").write_text("x=plain\n")
    assert labels(scan(host)) == {"x": "prefixed"}


def test_without_a_folder_the_features_are_empty(host: Host) -> None:
    collection = scan(host)
    assert collection.features.attributes == {"local.label": {}, "local.feature": {}}
    assert (labels(collection), collection.errors, collection.problems) == ({}, {}, {})


def test_the_labels_of_a_removed_file_are_removed(folder: Path, host: Host) -> None:
    (folder / "a").write_text("a=1\n")
    known = merge_labels(scan(host).results, {})
    (folder / "a").unlink()
    assert merge_labels(scan(host).results, known) == {}


def test_the_output_file_of_this_agent_is_not_read(folder: Path, host: Host) -> None:
    (folder / "nfd-lite").write_text("mine\n")
    (folder / "other").write_text("theirs\n")
    assert labels(scan(host)) == {"theirs": "true"}
    assert "mine" in labels(scan(host, SourceSettings(own_file="/elsewhere")))


def test_the_folder_is_a_setting(tmp_path: Path, host: Host) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("a\n")
    assert labels(scan(host, SourceSettings(features_dir="/mine"))) == {"a": "true"}


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    # The path of a Unix socket has about 100 characters at most.
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as built:
        built.bind(f"/proc/self/fd/{here}/{path.name}")
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
        (lambda path: path.symlink_to("nowhere"), "is a broken symbolic link"),
        (lambda path: path.symlink_to(path.name), "is a broken symbolic link"),
        (lambda path: path.write_bytes(b"a=1\n" * LIMIT), f"is larger than {LIMIT} bytes"),
        (lambda path: path.write_bytes(b"a=\xff\n"), "is not a UTF-8 text file"),
        (lambda path: path.write_bytes(b"a=1\nb=\0\n"), "is a binary file"),
    ],
    ids=["FIFO", "socket", "folder", "endless", "absolute link", "link to a neighbour", "dangling", "loop", "large", "not UTF-8", "binary"],
)  # fmt: skip
def test_a_file_that_is_not_text_is_one_problem_and_affects_no_other_file(
    make: Callable[[Path], None], why: str, folder: Path, host: Host
) -> None:
    (folder.parent / "features.d-not").write_text("stolen=1\n")
    (folder / "a").write_text("a=1\n")
    make(folder / "bad")
    (folder / "z").write_text("z=1\n")
    collection = scan(host)
    (problem,) = collection.problems["local.label"]
    assert problem.startswith(f"/{FOLDER}/bad ")
    assert why in problem
    assert labels(collection) == {"a": "1", "z": "1"}
    assert collection.errors == {}


def test_a_file_of_exactly_the_limit_is_read(folder: Path, host: Host) -> None:
    (folder / "a").write_text("a=1\n" + "#" * (LIMIT - 4))
    assert labels(scan(host)) == {"a": "1"}


def test_a_config_map_is_followed_through_its_links(folder: Path, host: Host) -> None:
    (folder / "..2026_01").mkdir()
    (folder / "..2026_01" / "a").write_text("a=1\n")
    (folder / "..data").symlink_to("..2026_01")
    (folder / "a").symlink_to("..data/a")
    collection = scan(host)
    assert labels(collection) == {"a": "1"}
    assert collection.problems == {}


def test_wrong_lines_are_reported_with_file_and_line(folder: Path, host: Host) -> None:
    (folder / "a").write_text("a=1\n!\n")
    collection = scan(host)
    assert labels(collection) == {"a": "1"}
    (problem,) = collection.problems["local.label"]
    assert problem.startswith(f"/{FOLDER}/a: line 2: '!' is not a valid key")


def test_files_beyond_the_maximum_number_are_ignored(folder: Path, host: Host) -> None:
    for index in range(MAX_FILES + 5):
        (folder / f"{index:06}").write_text(f"l{index}\n")
    collection = scan(host)
    assert len(labels(collection)) == MAX_FILES
    assert len(collection.problems["local.label"]) == 1


def test_labels_expire_and_the_time_of_the_next_scan_is_known(folder: Path, host: Host) -> None:
    (folder / "a").write_text("# +expiry-time=1970-01-01T00:20:00Z\na\n# +expiry-time=1970-01-01T00:30:00Z\nb\n")
    (folder / "b").write_text("c\n")
    assert scan(host).expires_at == 1200
    later = scan(replace(host, now=lambda: 1200.0))
    assert (labels(later), later.expires_at) == ({"b": "true", "c": "true"}, 1800)
    assert scan(replace(host, now=lambda: 1800.0)).expires_at is None


class Failing(HostRoot):
    """Fails for selected paths. File permissions do not stop tests that run as root."""

    __slots__ = ("bad",)
    bad: set[str]

    def read_regular(self, folder: str, name: str, *, limit: int) -> bytes | NotReadable | None:
        if name in self.bad:
            raise HostReadError(f"cannot read {folder}/{name}: Permission denied")
        return HostRoot.read_regular(self, folder, name, limit=limit)

    def entries(self, host_path: str) -> tuple[str, ...]:
        if host_path in self.bad:
            raise HostReadError(f"cannot list {host_path}: Input/output error")
        return HostRoot.entries(self, host_path)


def failing(root: HostRoot, *bad: str) -> Failing:
    built = Failing(root.base)
    object.__setattr__(built, "bad", set(bad))
    return built


def test_the_last_content_of_a_file_that_cannot_be_read_is_used(folder: Path, host: Host) -> None:
    (folder / "a").write_text("# +expiry-time=1970-01-01T00:20:00Z\na=1\n")
    (folder / "b").write_text("b=1\n")
    scan(host)
    (folder / "b").unlink()
    hidden = replace(host, root=failing(host.root, "a"))
    collection = scan(hidden)
    assert labels(collection, {f"{PREFIX}b": "1", "other.com/x": "1"}) == {"a": "1"}, (
        "of `b` it is known that it is gone"
    )
    assert collection.problems["local.label"] == (f"cannot read /{FOLDER}/a: Permission denied",)
    assert labels(scan(replace(hidden, now=lambda: 1200.0))) == {}, "it expires all the same"


def test_a_file_that_could_never_be_read_retains_all_labels_of_unknown_origin(folder: Path, host: Host) -> None:
    (folder / "a").write_text("a=1\n")
    (folder / "b").write_text("b=1\n")
    collection = scan(replace(host, root=failing(host.root, "a")))
    known = {f"{PREFIX}a": "old", f"{PREFIX}b": "old", "vendor.com/x": "1"}
    assert labels(collection, known) == {"a": "old", "b": "1", "vendor.com/x": "1"}
    assert set(collection.errors) == {"local.label", "local.feature"}


def test_the_last_content_is_used_while_the_folder_cannot_be_listed(folder: Path, host: Host) -> None:
    (folder / "a").write_text("a=1\n")
    broken = replace(host, root=failing(host.root, f"/{FOLDER}"))
    first = scan(broken)
    assert labels(first, {"vendor.com/x": "1"}) == {"vendor.com/x": "1"}
    assert set(first.errors) == {"local.label", "local.feature"}
    scan(host)
    again = scan(broken)
    assert labels(again, {"vendor.com/x": "1"}) == {"a": "1"}
    assert again.features.attributes["local.feature"] == {"a": "1"}
    assert "last content" in again.problems["local.label"][0]


def test_feature_files_take_precedence_over_custom_rules_and_these_over_other_sources(folder: Path, host: Host) -> None:
    (folder / "a").write_text("x=file\n")
    results = collect(host, SourceSettings()).results
    custom = CollectorResult(
        name="custom", labels={f"{PREFIX}x": "rule", f"{PREFIX}cpu-model.id": "rule"}, catch_all=True
    )
    merged = merge_labels(insert_custom_results(results, (custom,)), {})
    assert merged[f"{PREFIX}x"] == "file"
    assert merged[f"{PREFIX}cpu-model.id"] == "rule"
    assert insert_custom_results((), (custom,)) == (custom,)
