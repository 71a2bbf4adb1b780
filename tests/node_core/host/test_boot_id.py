from pathlib import Path

from node_core.host.boot_id import read_boot_id


def test_the_boot_id_is_the_text_of_the_kernel_without_the_end_of_the_line(tmp_path: Path) -> None:
    (tmp_path / "boot_id").write_text("b\n")
    assert read_boot_id(tmp_path / "boot_id") == "b"
    assert read_boot_id(tmp_path / "absent") == ""
