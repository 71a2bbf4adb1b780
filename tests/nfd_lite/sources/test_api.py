"""The helper functions that the sources share."""

import pytest

from nfd_lite.sources import Host, SourceSettings
from nfd_lite.sources.api import (
    PartialFeatures,
    PartialReader,
    ScanCache,
    ScanContext,
    attribute_collector,
    is_positive,
    parse_number,
    read_attribute_files,
    true_attribute_collector,
)
from node_core.domain.features import Features
from node_core.errors import HostReadError
from tests.nfd_lite.sources.scans import LayOut

FEATURES = Features(attributes={"a.b": {"x": "true", "y": "false"}})


def read_features(_scan: ScanContext) -> Features:
    return FEATURES


def test_a_cached_value_is_read_again_if_its_mark_changes() -> None:
    cache, values = ScanCache(), iter((1, 2))
    assert [cache.get_or_read("a", mark, lambda: next(values)) for mark in ("m", "m", "n")] == [1, 1, 2]


def test_a_scan_reads_each_value_once_and_a_failure_again(empty_host: Host) -> None:
    calls: list[str] = []

    def fail(_scan: ScanContext) -> str:
        calls.append("fail")
        raise HostReadError("no")

    def read(_scan: ScanContext) -> str:
        calls.append("read")
        return "value"

    scan = ScanContext(empty_host, SourceSettings())
    assert scan.once(read) == scan.once(read) == "value"
    for _ in range(2):
        with pytest.raises(HostReadError):
            scan.once(fail)
    assert calls == ["read", "fail", "fail"]


def test_a_value_that_cannot_be_read_is_a_reason_and_does_not_stop_others(lay_out: LayOut) -> None:
    root = lay_out({"/f/one": "1\n", "/f/empty": "", "/f/folder/": ""})
    reader = PartialReader()
    names = {name: name for name in ("one", "empty", "folder", "missing")}
    assert read_attribute_files(reader, root, "/f", names) == {"one": "1"}
    result = reader.result(FEATURES)
    assert isinstance(result, PartialFeatures)
    assert len(result.reasons) == 1
    assert PartialReader().result(FEATURES) is FEATURES


def test_attributes_become_labels_of_their_collector() -> None:
    collector = attribute_collector("a.b", read_features, "a-b.")
    assert collector.labels(FEATURES, SourceSettings()) == {"a-b.x": "true", "a-b.y": "false"}
    assert collector.owns == ("a-b.",)


def test_only_true_attributes_become_labels() -> None:
    collector = true_attribute_collector("a.b", read_features, {"a-x": "x", "a-y": "y", "a-z": "z"})
    assert collector.labels(FEATURES, SourceSettings()) == {"a-x": "true"}


@pytest.mark.parametrize(
    ("text", "positive"), [("1", True), ("0", False), ("000", False), ("-1", False), ("9" * 9999, True)]
)
def test_positive_numbers_of_any_length(text: str, *, positive: bool) -> None:
    assert is_positive(text) is positive


@pytest.mark.parametrize("text", ["", "x", "1.5", "9" * 30])
def test_a_text_that_is_not_a_number_is_an_error_with_its_path(text: str) -> None:
    assert parse_number("/f", "-12") == -12
    with pytest.raises(HostReadError, match="/f contains"):
        parse_number("/f", text)
