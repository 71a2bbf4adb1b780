"""Lists in pages: for each page size, the pages contain each object once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.apiserver.paging import cut_page
from simulation.apiserver.status import ApiError

KEYS = st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.text("xyz", min_size=1, max_size=3)), unique=True)


def objects(keys: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"metadata": {"namespace": namespace, "name": name}} for namespace, name in sorted(keys)]


@given(KEYS, st.integers(0, 5))
def test_the_pages_contain_the_list_and_its_version(keys: list[tuple[str, str]], limit: int) -> None:
    found, token, left = [], "", None
    while True:
        page, metadata = cut_page(objects(keys), 7 if not token else 99, limit=str(limit), token=token)
        assert left is None or left == len(objects(keys)) - len(found)
        found += page
        assert metadata["resourceVersion"] == "7"
        token, left = metadata.get("continue", ""), metadata.get("remainingItemCount")
        if not token:
            break
    assert found == objects(keys)


def test_a_list_without_a_limit_is_one_page() -> None:
    page, metadata = cut_page(objects([("", "a"), ("", "b")]), 7, limit="", token="")
    assert (len(page), metadata) == (2, {"resourceVersion": "7"})


@pytest.mark.parametrize("token", ["x", "!!!!", "bnVsbA==", "WzFd", "W251bGwsMSwyXQ==", "e30=", "ÿ"])
def test_a_malformed_token_is_a_bad_request(token: str) -> None:
    with pytest.raises(ApiError) as caught:
        cut_page([], 1, limit="1", token=token)
    assert caught.value.status == 400


@pytest.mark.parametrize("limit", ["-1", "x", "1.5"])
def test_a_malformed_limit_is_a_bad_request(limit: str) -> None:
    with pytest.raises(ApiError, match="invalid limit"):
        cut_page([], 1, limit=limit, token="")
