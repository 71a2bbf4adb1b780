"""The documents agree with the code, and their links work."""

import re
from pathlib import Path

import pytest

from gpunode.__main__ import gpunode
from tests.docs import DOCS, render_all

ROOT = Path(__file__).parent.parent
PAGES = sorted(DOCS.rglob("*.md"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *PAGES, *(ROOT / "manifests").rglob("*.md"), *(ROOT / "tests").glob("*.md")])
RESULTS = ("build", "dist")
"""Folders that commands create. git ignores them."""
FOLDERS = sorted(
    path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name not in RESULTS
)
PRODUCT = ("node_core", "gpu_core", "nfd_lite", "gfd", "device_plugin", "gpunode")
PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w/.-]*)[`:]")  # a path, or a path and the name of a test
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(("file", "content"), [pytest.param(*each, id=each[0].name) for each in render_all().items()])
def test_a_generated_file_is_up_to_date(file: Path, content: str) -> None:
    assert file.read_text() == content, "run `make docs`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_of_a_document_leads_to_a_file_and_a_heading(document: Path) -> None:
    broken = []
    for path, anchor in LINK.findall(document.read_text()):
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_no_document_has_the_marks_of_a_merge_conflict(document: Path) -> None:
    assert re.findall(r"^(?:<{7}|={7}|>{7})(?: .*)?$", document.read_text(), re.MULTILINE) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_path_of_the_repository_that_a_document_names_exists(document: Path) -> None:
    assert [path for path in PATH.findall(document.read_text()) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", document.read_text())
    assert [name for file, name in named if f"\ndef {name}(" not in (ROOT / file).read_text()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_that_a_document_names_exists(document: Path) -> None:
    named = re.findall(r"`(?:gpunode|kubectl gpu) ([a-z]+)", document.read_text())
    assert [name for name in named if name not in gpunode.entries] == []


def test_the_index_links_every_page() -> None:
    linked = {path for path, _ in LINK.findall((DOCS / "README.md").read_text())}
    assert [name for page in PAGES if (name := str(page.relative_to(DOCS))) not in linked | {"README.md"}] == []


def test_every_page_that_another_file_names_exists() -> None:
    """Messages of programs, manifests, help texts and comments name pages as `docs/<path>`."""
    files = [
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".yaml", ".tpl", ".md"}
    ]
    files = [path for path in files if "roots" not in path.parts]  # captured hosts name files of other projects
    named = {(name_of(file), page) for file in files for page in re.findall(r"\bdocs/[\w/-]+\.md", file.read_text())}
    assert len(named) > 10
    assert sorted((file, page) for file, page in named if not (ROOT / page).exists()) == []


def test_every_log_event_that_a_page_names_exists() -> None:
    code = "".join(path.read_text() for folder in PRODUCT for path in (ROOT / folder).rglob("*.py"))
    named = {event for page in PAGES for event in re.findall(r"\bevent `(\w+)`", page.read_text())}
    assert named
    assert sorted(event for event in named if f'"{event}"' not in code) == []


def anchors(document: Path) -> set[str]:
    """Returns the anchors that GitHub makes for the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
