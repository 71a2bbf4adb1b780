"""`python -m tests.manifests write`: writes the manifests that are made from the chart anew."""

import sys

from tests.manifests.generated import render_all
from tests.manifests.helm import MANIFESTS, missing

if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit("usage: python -m tests.manifests write")
    if (why := missing()) is not None:
        sys.exit(why)
    for file, content in render_all().items():
        path = MANIFESTS / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
