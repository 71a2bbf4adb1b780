import os
import sys
import time
from pathlib import Path, PurePosixPath

import pytest

from tests.mutants import Mutant
from tests.mutate import Laboratory, Place, Score, draw, find_places, measure, mirrored_tests, render, run_tests
from tests.nvml.build import IN_CI

TREE = {
    "pyproject.toml": "[tool.pytest.ini_options]\n",
    "a/sizes.py": "LEAST = 3\n\n\ndef is_large(size):\n    return size > LEAST\n",
    "a/b/generated_pb2.py": "A = 1\n",
    "tests/a/test_sizes.py": "from a.sizes import is_large\n\n\ndef test_sizes():\n    assert is_large(4)\n    assert not is_large(2)\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TREE.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "source"


def places(count: int, package: str) -> list[Place]:
    mutant = Mutant(line=1, start=0, end=1, before="1", after="2")
    return [Place(module=PurePosixPath(package) / f"{number}.py", mutant=mutant) for number in range(count)]


def test_places_are_sorted_by_the_first_two_folders(tree: Path) -> None:
    (tree / "a" / "b" / "c").mkdir()
    (tree / "a" / "b" / "c" / "deep.py").write_text("1\n")
    found = find_places(tree, ["a", "a/b"])
    assert {package: [str(place) for place in found[package]] for package in found} == {
        "a": [
            "a/sizes.py:1: 3  ->  0",
            "a/sizes.py:5: return size > LEAST  ->  return None",
            "a/sizes.py:5: size > LEAST  ->  (size >= LEAST)",
        ],
        "a/b": ["a/b/c/deep.py:1: 1  ->  2"],
    }


def test_a_seed_draws_the_same_mutants_and_none_twice() -> None:
    found = {"a": places(100, "a"), "b": places(4, "b")}
    first = draw(found, 60, seed=7)
    assert draw(found, 60, seed=7) == first
    assert draw(found, 60, seed=8) != first
    assert len({str(place) for place in first}) == 60
    assert sum(place.package == "b" for place in first) == 4


def test_no_more_mutants_are_drawn_than_exist() -> None:
    assert len(draw({"a": places(3, "a")}, 10, seed=1)) == 3


def test_a_module_meets_its_own_file_and_the_nearest_folder_with_tests(tree: Path) -> None:
    assert mirrored_tests(tree, PurePosixPath("a/sizes.py")) == ["tests/a/test_sizes.py", "tests/a"]
    assert mirrored_tests(tree, PurePosixPath("a/b/c.py")) == ["tests/a"]
    assert mirrored_tests(tree, PurePosixPath("x/y.py")) == ["tests"]


def wait_for_end(pid: int) -> None:
    """A killed process may be a zombie until its new parent notices."""
    while (stat := Path(f"/proc/{pid}/stat")).exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)


@pytest.mark.skipif(os.geteuid() != 0 and not IN_CI, reason="an ordinary user cannot delete files of the system")
def test_the_tests_of_a_mutant_cannot_delete_files_of_the_system(tree: Path) -> None:
    (tree / "tests" / "test_harm.py").write_text(
        "import os, pathlib, pytest\n\n\ndef test_harm():\n    pathlib.Path('file').touch()\n"
        "    with pytest.raises(OSError, match='Read-only'):\n        os.unlink('/usr/no-such-file')\n"
    )
    assert run_tests(tree, "tests/test_harm.py", 60) == 0


@pytest.mark.exhaustive
def test_a_tree_has_its_score_and_is_not_changed(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    laboratory = Laboratory(tree, tmp_path / "copy")
    drawn = find_places(tree, ["a"])["a"]
    text = render(measure(laboratory, drawn, []))
    assert text.splitlines() == [
        "survived: a/sizes.py:5: size > LEAST  ->  (size >= LEAST)",
        f"{'a':<28}    2 of    3   67 %",
        f"{'all':<28}    2 of    3   67 %",
    ]
    assert "[1/3] killed   a/sizes.py:1: 3  ->  0" in capsys.readouterr().out
    for folder in (tree, laboratory.tree):
        assert {name: (folder / name).read_text() for name in TREE} == TREE


@pytest.mark.exhaustive
def test_wider_tests_kill_what_the_mirrored_ones_do_not(tree: Path, tmp_path: Path) -> None:
    (tree / "tests" / "wide").mkdir()
    (tree / "tests/wide/test_more.py").write_text(
        "from a.sizes import is_large\n\n\ndef test_three(): assert not is_large(3)\n"
    )
    laboratory = Laboratory(tree, tmp_path / "copy")
    (survivor,) = [place for place in find_places(tree, ["a"])["a"] if place.mutant.after == "(size >= LEAST)"]
    assert not laboratory.is_killed(survivor)
    assert laboratory.is_killed(survivor, ["tests/wide"])


@pytest.mark.exhaustive
def test_mutants_whose_tests_fail_anyway_are_neither_killed_nor_alive(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "tests/a/test_sizes.py").write_text("def test_nothing():\n    assert False\n")
    scores = measure(Laboratory(tree, tmp_path / "copy"), find_places(tree, ["a"])["a"][:1], [])
    assert "unknown: tests/a/test_sizes.py fails without a change" in capsys.readouterr().out
    assert (scores["a"].killed, scores["a"].survivors) == (0, [])
    assert render(scores).splitlines()[0] == "unknown: a/sizes.py:1: 3  ->  0"


@pytest.mark.exhaustive
def test_tests_that_do_not_end_are_ended_with_what_they_started(tree: Path) -> None:
    pid = tree / "pid"
    sleep = "import time; time.sleep(60)"
    (tree / "tests/a/test_sizes.py").write_text(
        "import pathlib, subprocess, time\n\n\ndef test_it():\n"
        f"    child = subprocess.Popen([{sys.executable!r}, '-c', {sleep!r}])\n"
        f"    pathlib.Path({str(pid)!r}).write_text(str(child.pid))\n    time.sleep(60)\n"
    )
    assert run_tests(tree, "tests/a", 10) == -1
    wait_for_end(int(pid.read_text()))


def test_a_package_without_mutants_has_no_division_by_zero() -> None:
    assert Score().percent == 0
