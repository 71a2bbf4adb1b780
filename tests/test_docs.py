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
