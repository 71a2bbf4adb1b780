"""`nfd-lite --export`: what this host is, or the labels it would get, on standard output. Nothing is published, no cluster is asked."""

import json
from typing import Any, Literal

import yaml

from nfd_lite.agent import NfdSettings, look_once
from node_core.assembly import Edges
from node_core.domain.labels import merge_collected, split_valid
from node_core.domain.node_feature import render_features
from node_core.runtime.services import Services

What = Literal["features", "labels"]
Form = Literal["json", "yaml"]


def export(what: What, form: Form, settings: NfdSettings, edges: Edges) -> str:
    """Features as `spec.features` of a NodeFeature object has them; labels by full key."""
    features, collected = look_once(settings, edges, Services())
    data = render_features(features) if what == "features" else split_valid(merge_collected(collected, {}))[0]
    return render(data, form)


def render(data: dict[str, Any], form: Form) -> str:
    if form == "json":
        return json.dumps(data, indent=2, sort_keys=True) + "\n"
    return yaml.safe_dump(data, sort_keys=True)
