"""Request bodies: JSON, or YAML with the types of JSON. PURE. Source: Kubernetes API concepts, alternate representations of resources."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from simulation.apiserver.status import ApiError, bad_request
from simulation.apiserver.writes import PatchType, unsupported_media_type


def content_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "application/json").split(";")[0].strip().lower()


def patch_type(headers: Mapping[str, str]) -> PatchType:
    try:
        return PatchType(content_type(headers))
    except ValueError:
        raise unsupported_media_type(list(PatchType)) from None


def decode_body(headers: Mapping[str, str], body: bytes) -> Any:
    """Decodes a body. Raises ApiError 400 for a malformed body, and 415 for an unsupported format such as protobuf."""
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
        document = yaml.load(body, Loader=_JsonYaml)  # noqa: S506  # nosec B506 # a subclass of SafeLoader with fewer types
        return json.loads(json.dumps(document, allow_nan=False))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise bad_request(f"error decoding YAML: {error}") from error


class _JsonYaml(yaml.SafeLoader):
    """Loads YAML as Kubernetes: with the types of JSON only, so a timestamp is a string."""

    yaml_implicit_resolvers = {  # noqa: RUF012  declared so by the base class
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
