"""docker-archive files: equal bytes for equal content, folders before their entries, correct digests."""

import hashlib
import json
import tarfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.cluster.archive import Entry, Image, render_config, with_folders, write_archive

IMAGES = (
    Image(reference="example.local/one:e2e", command=("/bin/sh",), environment={"PATH": "/bin"}),
    Image(reference="example.local/two:e2e"),
)
ENTRIES = [
    Entry(path="bin/sh", link="busybox"),
    Entry(path="bin/busybox", content=b"program", executable=True),
    Entry(path="opt/a/b.txt", content=b"text"),
    Entry(path="tmp/.keep"),
]

paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


def read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def test_the_archive_does_not_depend_on_the_order_of_entries(tmp_path: Path) -> None:
    for name, entries in (("a.tar", ENTRIES), ("b.tar", ENTRIES[::-1])):
        write_archive(tmp_path / name, IMAGES, entries)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "b.tar"]


def test_images_have_their_own_config_and_share_the_layer(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.tar", IMAGES, ENTRIES)
    with tarfile.open(tmp_path / "a.tar") as archive:
        manifest = json.loads(read(archive, "manifest.json"))
        assert [image["RepoTags"] for image in manifest] == [["example.local/one:e2e"], ["example.local/two:e2e"]]
        ((layer,),) = {tuple(image["Layers"]) for image in manifest}
        digest = hashlib.sha256(read(archive, layer)).hexdigest()
        for image in manifest:
            config = read(archive, image["Config"])
            assert image["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
            assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{digest}"]


def test_a_layer_contains_no_user_and_no_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    write_archive(tmp_path / "a.tar", IMAGES, [*ENTRIES, Entry(path="copied", content=tmp_path / "file")])
    with tarfile.open(tmp_path / "a.tar") as archive:
        (name,) = json.loads(read(archive, "manifest.json"))[0]["Layers"]
        with tarfile.open(fileobj=archive.extractfile(name)) as layer:
            members = layer.getmembers()
    assert {(each.uid, each.gid, each.uname, each.mtime) for each in members} == {(0, 0, "", 0)}
    modes = {each.name: (each.type, each.mode) for each in members}
    assert modes == {
        "bin": (tarfile.DIRTYPE, 0o755),
        "bin/busybox": (tarfile.REGTYPE, 0o755),
        "bin/sh": (tarfile.SYMTYPE, 0o777),
        "copied": (tarfile.REGTYPE, 0o644),
        "opt": (tarfile.DIRTYPE, 0o755),
        "opt/a": (tarfile.DIRTYPE, 0o755),
        "opt/a/b.txt": (tarfile.REGTYPE, 0o644),
        "tmp": (tarfile.DIRTYPE, 0o1777),
        "tmp/.keep": (tarfile.REGTYPE, 0o644),
    }


@pytest.mark.parametrize(
    ("machine", "architecture"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", "riscv64")]
)
def test_a_config_contains_the_architecture_of_the_image_specification(machine: str, architecture: str) -> None:
    config = json.loads(render_config(IMAGES[0], "0" * 64, machine))
    assert config["architecture"] == architecture
    assert config["config"] == {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]}


@given(st.lists(paths))
def test_a_folder_precedes_its_entries_and_occurs_once(given_paths: list[str]) -> None:
    ordered = [
        each if isinstance(each, str) else each.path for each in with_folders(Entry(path=p) for p in given_paths)
    ]
    assert len(ordered) == len(set(ordered))
    assert set(given_paths) <= set(ordered)
    for index, path in enumerate(ordered):
        assert {str(parent) for parent in PurePosixPath(path).parents} - {"."} <= set(ordered[:index])
