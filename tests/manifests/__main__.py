"""`python -m tests.manifests write`: generates the manifests from the chart."""

import sys

from tests.manifests.generated import render_all, render_chart
from tests.manifests.helm import MANIFESTS, missing

if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit("usage: python -m tests.manifests write")
    if (why := missing()) is not None:
        sys.exit(why)
    for render in (render_chart, render_all):
        for file, content in render().items():
            path = MANIFESTS / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
