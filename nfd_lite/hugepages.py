"""The names of huge pages. PURE. Sources: kernel Documentation/admin-guide/mm/hugetlbpage.rst; Kubernetes, Manage HugePages."""

import re


def hugepage_name(folder: str) -> str | None:
    """Returns the kubelet's resource name `hugepages-2Mi` for the folder `hugepages-2048kB`; None for any other folder."""
    match = re.fullmatch(r"hugepages-([1-9]\d*)kB", folder)
    if match is None:
        return None
    size, units = int(match[1]), ["Ki", "Mi", "Gi", "Ti"]
    while size % 1024 == 0 and len(units) > 1:
        size, units = size // 1024, units[1:]
    return f"hugepages-{size}{units[0]}"
