"""`nfd-lite --export`: prints the features or the labels of this host. Nothing is published, and the API server is not used."""

import json
from typing import Literal

from gpu_core.assembly import Dependencies
from nfd_lite.agent import build_collector
from nfd_lite.settings import NfdSettings
from node_core.domain.desired import merge_labels
from node_core.domain.labels import split_valid
from node_core.domain.node_feature import render_features
from node_core.kubectl_yaml import dump_yaml
from node_core.runtime.services import Services

What = Literal["features", "labels"]
Form = Literal["json", "yaml"]


def export(what: What, form: Form, settings: NfdSettings, dependencies: Dependencies) -> str | None:
    """Returns features in the form of `spec.features` of a NodeFeature object, or labels by full key.

    None: nothing on this host can be read. The log states the reason.
    """
    desired = build_collector(settings, dependencies, Services())(None)
    if desired.is_unknown:
        return None
    data = (
        render_features(desired.features) if what == "features" else split_valid(merge_labels(desired.results, {}))[0]
    )
    if form == "json":
        return json.dumps(data, indent=2, sort_keys=True) + "\n"
    return dump_yaml(data)
