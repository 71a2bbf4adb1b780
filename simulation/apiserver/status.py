"""Errors as kube-apiserver returns them: meta/v1 Status objects. PURE. Source: Kubernetes API conventions, response status kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node_core.errors import KubeError

Obj = dict[str, Any]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One entry of details.causes. reason: such as FieldValueInvalid. field: a path such as `metadata.labels`."""

    reason: str
    message: str
    field: str = ""


class ApiError(KubeError):
    """The API refuses a request. status: the HTTP status. reason: a metav1.StatusReason. details: of the Status object."""

    def __init__(self, status: int, reason: str, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, status=status)
        self.reason = reason
        self.details = dict(details or {})

    def body(self) -> Obj:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.status,
        }


def not_found(resource: str, name: str) -> ApiError:
    """resource: `plural.group` such as `leases.coordination.k8s.io`, as in the other functions of this module."""
    return ApiError(404, "NotFound", f'{resource} "{name}" not found', details=_details(resource, name))


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: str, name: str) -> ApiError:
    return ApiError(409, "AlreadyExists", f'{resource} "{name}" already exists', details=_details(resource, name))


def conflict(resource: str, name: str, why: str = "") -> ApiError:
    stale = "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why or stale}'
    return ApiError(409, "Conflict", message, details=_details(resource, name))


def apply_conflict(message: str, causes: Sequence[Cause]) -> ApiError:
    return ApiError(409, "Conflict", message, details={"causes": _causes(causes)})


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def expired(version: int, oldest: int) -> ApiError:
    return ApiError(410, "Expired", f"too old resource version: {version} ({oldest})")


def invalid(kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """Returns a 422 error with all causes. kind: `Kind.group`."""
    problems = [f"{cause.field}: {cause.message}" for cause in causes]
    text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    details = {"name": name, "kind": kind, "causes": _causes(causes)}
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {text}', details=details)


def rejected_patch() -> ApiError:
    """Returns the error of a JSON patch that failed. As in kube-apiserver, the error does not contain the failed operation."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request")


def success(details: Mapping[str, Any]) -> Obj:
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": dict(details)}


def _details(resource: str, name: str) -> Obj:
    plural, _, group = resource.partition(".")
    return {"name": name, "kind": plural} | ({"group": group} if group else {})


def _causes(causes: Sequence[Cause]) -> list[Obj]:
    return [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
