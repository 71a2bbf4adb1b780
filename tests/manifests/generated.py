"""The manifests that are made from the chart: `make manifests` writes them, test_generated.py compares. PURE but for `render`."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from tests.manifests.helm import CHART, template

HEAD = "# Generated from manifests/chart/gpunode by `make manifests`.\n"
SOURCE = re.compile(r"^# Source: gpunode/(?:templates|crds)/(\S+)\n", re.MULTILINE)
OF_HELM = re.compile(r"^ +(?:helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)
"""Labels that say how something was installed."""

SINGLE = ("--set=singleProcess.enabled=true", "--show-only=templates/gpunode.yaml")
CLEANUP = ("--set=cleanup.enabled=true", "--set=networkPolicy.enabled=false")
QUOTA = ("--set=resourceQuota.enabled=true", "--show-only=templates/resource-quota.yaml")


def render_all() -> dict[str, str]:
    """Path below manifests/ -> content."""
    return {
        **_below("base", split_sources(template())),
        **_below("crds", {path.name: path.read_text() for path in sorted((CHART / "crds").iterdir())}),
        **_below("overlays/single-process", split_sources(template(*SINGLE))),
        **_below("cleanup", split_sources(template(*CLEANUP))),
        **_below("overlays/gke-cos", split_sources(template(*QUOTA))),
    }


def split_sources(text: str) -> dict[str, str]:
    """What `helm template` prints, by the file of the chart that it comes from, without what is Helm's."""
    files: dict[str, list[str]] = {}
    for document in re.split(r"^---\n", text, flags=re.MULTILINE):
        source = SOURCE.match(document)
        if source is not None:
            files.setdefault(source[1], []).append(OF_HELM.sub("", document[source.end() :]).strip() + "\n")
    return {name: HEAD + "---\n".join(documents) for name, documents in files.items()}


def _below(folder: str, files: Mapping[str, str]) -> dict[str, str]:
    return {str(PurePosixPath(folder, name)): text for name, text in files.items()}
