"""Request bodies: JSON, or YAML with JSON's types. PURE. Source: Kubernetes API concepts, alternate representations of resources."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from node_core.simulate.apiserver.status import ApiError, bad_request
from node_core.simulate.apiserver.writes import PatchType, unsupported_media_type


def content_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "application/json").split(";")[0].strip().lower()


def patch_type(headers: Mapping[str, str]) -> PatchType:
    try:
        return PatchType(content_type(headers))
    except ValueError:
        raise unsupported_media_type(list(PatchType)) from None


def decode_body(headers: Mapping[str, str], body: bytes) -> Any:
    """Raises ApiError 400 for a malformed body and 415 for a form that is not served, protobuf above all."""
    kind = content_type(headers)
    if kind in ("application/yaml", PatchType.APPLY):
        return _decoded_yaml(body)
    if kind not in ("application/json", "*/*", *PatchType):
        known = "accepted media types include: application/json, application/yaml"
        message = f"the body of the request was in an unknown format ({kind}) - {known}"
        raise ApiError(415, "UnsupportedMediaType", message)
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the object provided is unrecognized (must be JSON): {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _decoded_yaml(body: bytes) -> Any:
    try:
        document = yaml.load(body, Loader=_JsonYaml)  # noqa: S506  # nosec B506 # a safe loader with fewer types
        return json.loads(json.dumps(document, allow_nan=False))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise bad_request(f"error decoding YAML: {error}") from error


class _JsonYaml(yaml.SafeLoader):
    """YAML as Kubernetes reads it: JSON's types only, so a timestamp stays a string."""

    yaml_implicit_resolvers = {  # noqa: RUF012  the base class declares it so
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
