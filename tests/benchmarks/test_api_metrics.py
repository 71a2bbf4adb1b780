"""What an API server did, from its metrics."""

from benchmarks.scale.api_metrics import count_watches, parse_metrics, subtract

BEFORE = """
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="nodes",subresource="",verb="PATCH"} 3
"""
AFTER = """
apiserver_request_total{code="200",resource="nodes",subresource="",verb="PATCH"} 8
apiserver_request_total{code="200",resource="nodes",subresource="status",verb="PATCH"} 1
apiserver_request_total{code="429",resource="nodes",subresource="",verb="PATCH"} 2
apiserver_request_total{code="200",resource="leases",subresource="",verb="PUT"} 90
apiserver_request_duration_seconds_bucket{resource="nodes",verb="PATCH",le="0.1"} 90
apiserver_request_duration_seconds_bucket{resource="nodes",verb="PATCH",le="1"} 100
apiserver_request_duration_seconds_bucket{resource="nodes",verb="PATCH",le="+Inf"} 100
apiserver_request_duration_seconds_bucket{resource="nodes",verb="WATCH",le="+Inf"} 100
apiserver_response_sizes_sum{resource="nodes",verb="LIST"} 1000
apiserver_watch_events_sizes_sum{resource="nodes"} 24
apiserver_longrunning_requests{resource="nodes",verb="WATCH"} 7
apiserver_longrunning_requests{resource="pods",verb="WATCH"} 9
apiserver_longrunning_requests_more{resource="nodes"} 9
"""


def test_only_requests_for_the_kinds_of_the_agents_count() -> None:
    work = subtract(parse_metrics(AFTER), parse_metrics(BEFORE))
    assert work.by_verb == {"PATCH": 8}
    assert (work.count(status="2"), work.count(status="429"), work.count(verbs=frozenset({"LIST"}))) == (6, 2, 0)


def test_latency_is_the_limit_of_a_bucket_and_watches_have_none() -> None:
    assert subtract(parse_metrics(AFTER), {}).latency == {"PATCH": (0.1, 1.0)}


def test_bytes_are_those_of_responses_and_watch_events() -> None:
    assert subtract(parse_metrics(AFTER), {}).received == 1024


def test_open_watches_of_a_kind_are_counted() -> None:
    assert count_watches(parse_metrics(AFTER), "nodes") == 7


def test_a_server_without_requests_did_nothing() -> None:
    work = subtract(parse_metrics(""), {})
    assert (work.by_verb, work.latency, work.received) == ({}, {}, 0)
