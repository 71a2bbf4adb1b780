"""The results of a benchmark can be saved, or the benchmark does not start."""

import json
from pathlib import Path

import pytest

from benchmarks.saved import prepare_folder, save_results


def test_a_folder_of_results_is_created_before_the_measurement(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    prepare_folder(folder)
    assert list(folder.iterdir()) == []
    save_results(folder / "a.json", {"complete": True})
    assert json.loads((folder / "a.json").read_text()) == {"complete": True}


def test_a_folder_in_which_nothing_can_be_saved_ends_the_benchmark_before_the_measurement(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "results", Path("/proc/self")):
        with pytest.raises(SystemExit, match=f"cannot save results in {folder}: "):
            prepare_folder(folder)
