"""Labels and explanations as documents for programs: `-o json` and `-o yaml`. PURE."""

from collections.abc import Iterable
from typing import Any

from gpunode.labels.explain import Explanation
from gpunode.labels.published import Label, describe_meaning, plain


def label_document(label: Label) -> dict[str, Any]:
    found = {"key": label.key, "value": label.value, "agent": label.agent, "source": label.source}
    overridden = [{"value": each.value, "source": each.source} for each in label.overridden]
    return {
        **found,
        **({"meaning": label.meaning} if label.meaning else {}),
        **({"overridden": overridden} if overridden else {}),
    }


def list_document(labels: Iterable[Label], *, simulated: str | None, notes: Iterable[str]) -> dict[str, Any]:
    return {"simulated": simulated, "labels": [label_document(each) for each in labels], "notes": list(notes)}


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    declared = explanation.declared
    return {
        "key": explanation.key,
        "isPublished": bool(explanation.labels),
        "labels": [label_document(each) for each in explanation.labels],
        "reasons": [
            {"agent": each.agent, "why": each.why, "evidence": list(each.evidence)} for each in explanation.reasons
        ],
        "source": None if declared is None else plain(declared.source),
        "meaning": None if declared is None else describe_meaning(declared),
        "nearest": list(explanation.nearest),
    }
