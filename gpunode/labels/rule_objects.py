"""The rules that are not on this host: rules in files, and the NodeFeatureRules of the cluster."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpunode.cluster.lists import Kind, list_pages
from nfd_lite.rule_pass import RuleInformers
from nfd_lite.rules.custom import parse_rule_file
from nfd_lite.rules.decode import list_objects
from nfd_lite.rules.model import RuleSet
from nfd_lite.rules_command import read_text
from node_core.decode import parse_documents
from node_core.errors import KubeError, SettingsError
from node_core.kube.http import ApiClient
from node_core.kube.informer import object_key
from node_core.kube.resources import Resource, node_feature_rules, openshift_rules

Objects = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleObjects:
    """custom: lists of custom rules. objects: NodeFeatureRules by name."""

    custom: tuple[RuleSet, ...] = ()
    objects: Objects = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FixedObjects:
    """Objects in place of an informer. See rule_pass.ObjectInformer."""

    state: Objects


def read_rule_files(files: Iterable[str]) -> RuleObjects:
    """Reads files with rules of either kind. Of objects with the same name the last counts. Raises SettingsError with all problems."""
    custom: list[RuleSet] = []
    objects: dict[str, Mapping[str, Any]] = {}
    problems: list[str] = []
    for file in files:
        try:
            text = read_text(file)
            parsed = parse_rule_file(text, file)
        except SettingsError as error:
            problems += error.problems
            continue
        if parsed.is_custom:
            custom += parsed.sets
        else:
            documents = parse_documents(text, file, as_kubectl=True)
            objects |= {obj["metadata"]["name"]: obj for document in documents for obj in list_objects(document)}
    if problems:
        raise SettingsError(problems)
    return RuleObjects(custom=tuple(custom), objects=objects)


def list_cluster_rules(api: ApiClient) -> Objects:
    """Lists the NodeFeatureRules of upstream and of OpenShift, with the names that nfd-lite gives them. Raises KubeError."""
    upstream, openshift = (_list(api, resource) for resource in (node_feature_rules(), openshift_rules()))
    return RuleInformers(FixedObjects(upstream), FixedObjects(openshift)).state or {}


def _list(api: ApiClient, resource: Resource[Any]) -> Objects:
    """Returns no objects if the cluster does not know the kind."""
    group = resource.path.split("/")[2]
    try:
        pages = list_pages(api, Kind(path=resource.path, name=f"nodefeaturerules.{group}"), dict[str, Any])
        return {object_key(obj): obj for page in pages for obj in page}
    except KubeError as error:
        if error.status in resource.missing:
            return {}
        raise
