"""What the documents say is what the code says."""

import re
from pathlib import Path

import pytest

from tests.docs import DOCS, render_all

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("name", "content"), render_all().items(), ids=lambda value: value[:11])
def test_generated_documents_are_fresh(name: str, content: str) -> None:
    assert (DOCS / name).read_text() == content, "run `make docs`"


@pytest.mark.parametrize("document", [*ROOT.glob("*.md"), *DOCS.glob("*.md")], ids=lambda path: path.name)
def test_every_link_and_path_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    paths = re.findall(
        r"`((?:node_core|nfd_lite|gfd|device_plugin|gpunode|manifests|benchmarks|tests|docs)/[\w/.-]*)`", text
    )
    missing = [link for link in links if not (document.parent / link).exists()]
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


def test_every_test_and_timeline_that_health_md_names_exists() -> None:
    text = (DOCS / "health.md").read_text()
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    missing = [name for file, name in tests if f"def {name}(" not in (ROOT / file).read_text()]
    timelines = re.findall(r"timeline `([\w-]+)`", text)
    missing += [name for name in timelines if not (ROOT / f"tests/golden/health/{name}.txt").exists()]
    assert missing == []
    assert len(tests) > 20
