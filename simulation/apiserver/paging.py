"""Lists in pages. PURE. Source: Kubernetes API concepts, retrieving large results sets in chunks.

There are no snapshots: later pages contain the current objects. All pages have the resource version of the first page, so a watch from
that version reports the changes since the first page.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from simulation.apiserver.status import Obj, bad_request

Key = tuple[str, str]
"""Namespace and name, the sort key of lists."""


def cut_page(items: Sequence[Obj], version: int, *, limit: str, token: str) -> tuple[list[Obj], Obj]:
    """Returns the objects of one page and the metadata of the list. limit, token: from the query. Raises ApiError 400."""
    if limit and not limit.isdecimal():
        raise bad_request(f"invalid limit {limit!r}")
    first, after = _parse(token) if token else (version, ("", ""))
    rest = [item for item in items if _key(item) > after]
    page = rest[: int(limit or 0) or len(rest)]
    metadata: Obj = {"resourceVersion": str(first)}
    if len(page) < len(rest):
        metadata |= {"continue": _render(first, _key(page[-1])), "remainingItemCount": len(rest) - len(page)}
    return page, metadata


def _key(item: Obj) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _render(version: int, after: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, *after]).encode()).decode()


def _parse(token: str) -> tuple[int, Key]:
    try:
        content: Any = json.loads(base64.urlsafe_b64decode(token))
        version, namespace, name = content
        return int(version), (str(namespace), str(name))
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise bad_request("continue key is not valid") from error
