"""The names of huge pages."""

import pytest

from nfd_lite.hugepages import hugepage_name


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("hugepages-2048kB", "hugepages-2Mi"),
        ("hugepages-1048576kB", "hugepages-1Gi"),
        ("hugepages-64kB", "hugepages-64Ki"),
        ("hugepages-524288kB", "hugepages-512Mi"),
        ("hugepages-0kB", None),
        ("demote", None),
    ],
)
def test_huge_pages_are_named_as_the_kubelet_names_them(folder: str, expected: str | None) -> None:
    assert hugepage_name(folder) == expected
