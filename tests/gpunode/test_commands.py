"""All commands: help that begins with examples, whole sentences, documented exit statuses."""

import re
import shlex

import click
import pytest

from tests.commands import Page, all_pages
from tests.gpunode.verbs import run_verb

PAGES = list(all_pages())
RUNNABLE = [page for page in PAGES if page.is_runnable]
SENTENCES = re.compile(r"[A-Z`\[-].*[.)]", re.DOTALL)
"""A capital letter or the name of a flag or file first, a full stop last. A note in parentheses may follow."""


def name_of(page: Page) -> str:
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_help_begins_with_examples(page: Page) -> None:
    result = run_verb(*page.words[1:], "--help")
    assert result.exit_code == 0
    assert page.command.examples
    lines = result.stdout.splitlines()
    assert lines[0] == "Examples:"
    assert lines[1].startswith(f"  {page.name}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_examples_use_flags_and_commands_that_exist(page: Page) -> None:
    for arguments, what in page.command.examples:
        words = shlex.split(arguments.partition(" > ")[0].partition("-- ")[0])
        target = next((each for each in page.below if words and each.words[-1] == words[0]), page)
        flags = {name for each in target.options for name in (*each.opts, *each.secondary_opts)}
        used = {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)}
        assert used <= flags, arguments
        assert what
        assert not what.endswith(".")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_texts_are_sentences(page: Page) -> None:
    options = [each.help or "" for each in page.options]
    texts = [page.summary, *page.paragraphs, *options, *page.command.statuses.values()]
    assert [text for text in texts if not SENTENCES.fullmatch(text)] == []


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_each_exit_status_has_a_meaning(page: Page) -> None:
    assert {"0", "2"} <= page.command.statuses.keys()


@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_a_wrong_flag_has_the_documented_status(page: Page) -> None:
    result = run_verb(*page.words[1:], "--no-such-flag")
    assert result.exit_code == 2
    assert "no-such-flag" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_summary_is_one_line_of_a_terminal(page: Page) -> None:
    assert "\n" not in page.summary
    assert len(page.summary) <= 140


def test_every_argument_has_a_name_in_capitals() -> None:
    arguments = [(page, each) for page in PAGES for each in page.command.params if isinstance(each, click.Argument)]
    names = {each.make_metavar(page.context).strip("[].") for page, each in arguments}
    assert all(name == name.upper() or "|" in name for name in names), names
