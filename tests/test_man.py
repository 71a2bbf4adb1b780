"""The man pages: correct for groff, with all characters as they are."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs import MAN
from tests.man import escape, escape_prose, render_man_pages
from tests.nvml.build import IN_CI

PAGES = render_man_pages()
NASTY = r"a\b -o 'x' `y` ~/z ^ \"q\" -- \fB ..."
needs_groff = pytest.mark.skipif(shutil.which("groff") is None and not IN_CI, reason="groff is not installed")


def groff(page: str, *flags: str) -> str:
    """Returns the text. Raises an error for a warning."""
    command = ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", *flags]
    ended = subprocess.run(command, input=page, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    return ended.stdout


def test_the_folder_contains_only_generated_pages() -> None:
    assert {path.name for path in MAN.iterdir()} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_begins_no_line_with_a_text_that_is_a_request(name: str) -> None:
    requests = (".TH", ".SH", ".SS", ".TP", ".B ", ".BR", ".PP", ".br", '.\\"')
    lines = PAGES[name].splitlines()
    assert [line for line in lines if line.startswith((".", "'")) and not line.startswith(requests)] == []


@needs_groff
@pytest.mark.parametrize("name", PAGES)
def test_groff_accepts_a_page_without_a_warning(name: str) -> None:
    text = groff(PAGES[name])
    assert text.splitlines()[0].startswith(name.removesuffix(".1").upper() + "(1)")
    assert "EXIT STATUS" in text


@needs_groff
@pytest.mark.parametrize("text", [NASTY, ".TH is no request", "'tis", "…", "\\", "- \n- "])
def test_groff_prints_a_text_as_it_is(text: str) -> None:
    page = f'.TH T 1 "" "" ""\n.SH S\n{escape(text)}\n'
    assert " ".join(text.split()) in groff(page)


def test_words_in_backticks_are_bold() -> None:
    assert escape_prose("Run `a -b` now") == "Run \\fBa \\-b\\fR now"
    assert escape_prose("one ` only") == "one \\(ga only"
    assert escape_prose("`a`") == "\\fBa\\fR"


def test_the_pages_are_installed_with_the_package() -> None:
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert '"share/man/man1" = ["docs/man/*.1"]' in text
