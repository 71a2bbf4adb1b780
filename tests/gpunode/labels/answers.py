"""Answers of `gpunode labels KEY` for the tests."""

import json
from typing import Any

from tests.gpunode.labels.conftest import Show

PREFIX = "feature.node.kubernetes.io/"
RETAINED = "the label is unknown. The agent retains a label that is already published"
CONDITION = "this host does not fulfil the condition of the label:"


def ask(show: Show, *arguments: str, **options: Any) -> dict[str, Any]:
    """Returns the answer as a document. The exit status is 1 if the label is missing."""
    result = show(*arguments, "-o", "json", **options)
    answer: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if answer["isPublished"] else 1)
    return answer


def whys(answer: dict[str, Any]) -> list[str]:
    return [f"{each['agent']}: {each['why']}" for each in answer["reasons"]]


def evidence(answer: dict[str, Any]) -> list[str]:
    return [line for each in answer["reasons"] for line in each["evidence"]]
