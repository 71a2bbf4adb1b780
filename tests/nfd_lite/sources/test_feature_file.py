"""The format of feature files: pairs, directives, expiry, and wrong lines."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_lite.sources.feature_file import (
    MAX_PROBLEMS,
    ParsedFile,
    parse_feature_file,
    parse_time,
)
from node_core.domain.labels import namespace_problem

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
PAST, SOON, LATER = "2026-06-01T11:59:59Z", "2026-06-01T14:30:00+02:00", "2026-07-01T00:00:00Z"
SOON_SECONDS = NOW + 1800


def parse(text: str) -> ParsedFile:
    return parse_feature_file(text, NOW)


@pytest.mark.parametrize(
    ("text", "labels", "features"),
    [
        ("", {}, {}),
        ("a\nb=2\n", {"a": "true", "b": "2"}, None),
        ("  a=1  \r\n\t\r\n", {"a": "1"}, None),
        ("a=\n", {"a": ""}, None),
        ("a=x=y\n", {}, {"a": "x=y"}),
        ("#a=1\n# a=1\n#+no-label\nb\n", {"b": "true"}, None),
        ("vendor.com/a=1\nfeature.node.kubernetes.io/b=2\n", {"vendor.com/a": "1", "feature.node.kubernetes.io/b": "2"}, None),
        ("# +no-label\na=1\nb=2\n", {"b": "2"}, {"a": "1", "b": "2"}),
        ("# +no-feature\na=1\nb=2\n", {"a": "1", "b": "2"}, {"b": "2"}),
        ("# +no-feature\n# +no-label\na=1\nb=2\n", {"b": "2"}, {"b": "2"}),
        ("a=1\n# +no-label\na=2\n", {}, {"a": "2"}),
        ("a=1\n# +no-feature\na=2\n", {"a": "2"}, {}),
        ("a=1\na=2\n", {"a": "2"}, None),
        (f"# +expiry-time={PAST}\na=1\n# +expiry-time={SOON}\nb=2\n", {"b": "2"}, None),
        (f"# +expiry-time={PAST}\n# +no-label\na=1\n# +expiry-time={SOON}\nb=2\nc=3\n", {"c": "3"}, {"b": "2", "c": "3"}),
        (f"a=1\n# +expiry-time={PAST}\na=2\n", {"a": "1"}, None),
    ],
    ids=[
        "nothing", "pairs", "white space", "empty value", "only the first = counts", "comments", "prefixes", "no label", "no feature",
        "neither", "no label takes the one before away", "no feature takes the one before away", "the last one counts",
        "expired and not yet", "an expired line uses no directive up", "an expired line takes nothing away",
    ],
)  # fmt: skip
def test_lines_become_labels_and_features(text: str, labels: dict[str, str], features: dict[str, str] | None) -> None:
    parsed = parse(text)
    assert parsed.labels == labels
    assert parsed.features == (labels if features is None else features)


def test_the_next_expiry_ignores_expired_lines() -> None:
    text = f"# +expiry-time={PAST}\na\n# +expiry-time={LATER}\nb\n# +expiry-time={SOON}\nc\n"
    assert parse(text).expires_at == SOON_SECONDS
    assert parse_feature_file(text, SOON_SECONDS).expires_at == parse_time(LATER)
    assert set(parse_feature_file(text, SOON_SECONDS).labels) == {"b"}
    assert parse(f"# +expiry-time={SOON}\n").expires_at is None
    assert parse("a\n").expires_at is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a b=1", "'a b' is not a valid key: its name must begin"),
        ("=1", "'' is not a valid key"),
        ("a/b/c", "its prefix 'a/b' is not a DNS subdomain"),
        (f"{'x' * 64}=1", "its name has 64 characters"),
        ("\ufeffa=1", "is not a valid key"),
        ("a=b c", "'a' is not a valid label: its value 'b c'"),
        (f"a={'v' * 64}", "its value has 64 characters"),
        ("node-role.kubernetes.io/x", "'node-role.kubernetes.io' belongs to Kubernetes"),
        ("# +no-lable", "'no-lable' is not a directive"),
        ("# +", "'' is not a directive"),
        ("# +no-label=true", "is not a directive"),
        ("# +expiry-time=tomorrow", "'tomorrow' is not a time such as"),
        ("# +expiry-time=2026-06-31T00:00:00Z", "day"),
        ("# +expiry-time=2026-06-01", "is not a time such as"),
    ],
)
def test_a_wrong_line_is_one_problem_and_affects_no_other_line(line: str, why: str) -> None:
    parsed = parse(f"first=1\n{line}\nlast=2\n")
    (problem,) = parsed.problems
    assert problem.startswith("line 2: ")
    assert why in problem
    assert parsed.labels == {"first": "1", "last": "2"}


def test_after_a_wrong_expiry_the_previous_expiry_applies() -> None:
    assert parse(f"# +expiry-time={PAST}\n# +expiry-time=never\na\n").labels == {}


def test_a_pair_that_is_not_a_valid_label_is_still_a_feature() -> None:
    parsed = parse("a=b c\nx.kubernetes.io/y=1\n")
    assert parsed.labels == {}
    assert parsed.features == {"a": "b c", "x.kubernetes.io/y": "1"}


def test_many_wrong_lines_are_counted() -> None:
    problems = parse("!\n" * 30_000).problems
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1] == f"{30_000 - MAX_PROBLEMS} more lines are wrong"


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("a", True),
        ("vendor.com/a", True),
        ("nvidia.com/a", True),
        ("notkubernetes.io/a", True),
        ("feature.node.kubernetes.io/a", True),
        ("sub.feature.node.kubernetes.io/a", True),
        ("profile.node.kubernetes.io/a", True),
        ("a.b.profile.node.kubernetes.io/a", True),
        ("kubernetes.io/a", False),
        ("node.kubernetes.io/a", False),
        ("xfeature.node.kubernetes.io/a", False),
        ("feature.node.kubernetes.io.kubernetes.io/a", False),
    ],
)
def test_files_must_not_use_namespaces_of_kubernetes(key: str, *, allowed: bool) -> None:
    assert (namespace_problem(key) is None) is allowed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.5Z", 0.5),
        ("1970-01-01T00:00:00.123456789Z", 0.123456),
    ],
)
def test_times_are_rfc_3339(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


LINES = st.one_of(
    st.text(max_size=80),
    st.from_regex(r"[a-z]{1,3}(=[a-z0-9 ]{0,3})?", fullmatch=True),
    st.sampled_from(["# +no-label", "# +no-feature", f"# +expiry-time={PAST}", f"# +expiry-time={SOON}"]),
    st.from_regex(r"# \+expiry-time=[0-9T:+Z.-]{0,30}", fullmatch=True),
    st.datetimes().map(lambda when: f"# +expiry-time={when.isoformat()}+14:00"),
)


@given(st.lists(LINES), st.floats(min_value=-1e11, max_value=1e12))
def test_any_text_is_parsed_into_valid_labels(lines: list[str], now: float) -> None:
    parsed = parse_feature_file("\n".join(lines), now)
    assert parse_feature_file("\n".join(f"{key}={value}" for key, value in parsed.labels.items()), now) == ParsedFile(
        labels=parsed.labels, features=parsed.labels
    )
    assert parsed.expires_at is None or parsed.expires_at > now
