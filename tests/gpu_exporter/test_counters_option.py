"""The file of counters on the command line."""

from pathlib import Path

import pytest

from gpu_exporter import counters_option
from gpu_exporter.__main__ import command
from gpu_exporter.selection import select_series
from gpu_exporter.settings import exporter_settings
from node_core.errors import SettingsError
from node_core.runtime.command import parse_command
from node_core.runtime.config_watch import fingerprint
from tests.gpu_exporter.test_settings import read, refused


def test_the_file_selects_the_fields(tmp_path: Path) -> None:
    file = tmp_path / "counters.csv"
    file.write_text("# comment\nDCGM_FI_DEV_GPU_TEMP, gauge, Heat.\nDCGM_FI_DEV_SLOWDOWN_TEMP, gauge, other\n")
    selection = read("-f", str(file)).selection
    assert selection.series[0].name == "DCGM_FI_DEV_GPU_TEMP"
    assert selection.series[0].help == "Heat."
    assert len(selection.problems) == 1
    assert selection.problems[0].startswith("line 3: DCGM_FI_DEV_SLOWDOWN_TEMP is not a field of this exporter")


def test_the_file_is_watched(tmp_path: Path) -> None:
    file = tmp_path / "counters.csv"
    file.write_text("DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n")
    values = parse_command(command, ["--collectors", str(file)], "gpu-exporter")
    assert values is not None
    assert values["config_files"] == {file: fingerprint(file)}


def test_a_missing_file_is_an_error_and_is_watched(tmp_path: Path) -> None:
    (problem,) = refused("--collectors", str(tmp_path / "no.csv"))
    assert "no.csv" in problem


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00" * 100])
def test_a_file_that_is_not_text_selects_nothing_or_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "counters.csv"
    file.write_bytes(content)
    try:
        problems = read("--collectors", str(file)).selection.problems
    except SettingsError as error:
        problems = error.problems
    assert problems


def test_a_file_of_dcgm_exporters_image_that_is_missing_means_the_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(counters_option, "IN_UPSTREAM_IMAGE", tmp_path)
    file = tmp_path / "dcp-metrics-included.csv"
    values = parse_command(command, ["-f", str(file)], "gpu-exporter")
    assert values is not None
    assert exporter_settings(values).selection == select_series()
    assert values["notes"] == (
        f"--collectors: {file} is a file of dcgm-exporter's image. The default fields are exported",
    )
    file.write_text("DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n")
    assert len(read("-f", str(file)).selection.series) == 3


def test_an_empty_path_means_the_defaults() -> None:
    assert read("--collectors=").selection == select_series()
