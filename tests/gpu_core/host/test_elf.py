"""The machine in the header of a library."""

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gpu_core.host.driver_libraries import locate_driver
from gpu_core.host.elf import elf_machine
from tests.roots.drivers.layout import elf_header, lay_out


def test_a_named_pipe_does_not_block_the_search(tmp_path: Path) -> None:
    lay_out(tmp_path, "/lib64/")
    os.mkfifo(tmp_path / "lib64/libcuda.so.1")
    assert elf_machine(tmp_path / "lib64/libcuda.so.1") is None
    assert locate_driver(tmp_path) is None


@given(st.binary(max_size=64))
def test_only_64_bit_elf_files_have_a_machine(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        assert (elf_machine(Path(file.name)) is not None) == (
            content[:5] == b"\x7fELF\x02" and content[18:20] in (b">\0", b"\xb7\0")
        )


def test_headers_in_test_trees_match_real_headers() -> None:
    assert elf_header("x86_64")[:5] == Path("/proc/self/exe").read_bytes()[:5]
