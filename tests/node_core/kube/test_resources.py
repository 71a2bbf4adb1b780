"""The collections that agents watch."""

from typing import Any

import pytest

from node_core.kube.resources import (
    Resource,
    config_map,
    node,
    node_feature,
    node_feature_rules,
    node_features_of,
    openshift_rules,
    without_managed_fields,
)

GROUP = "/apis/nfd.k8s-sigs.io/v1alpha1"


@pytest.mark.parametrize(
    ("resource", "path", "selector"),
    [
        (node("n1"), "/api/v1/nodes", {"fieldSelector": "metadata.name=n1"}),
        (node_feature("a b", "n1"), f"{GROUP}/namespaces/a%20b/nodefeatures", {"fieldSelector": "metadata.name=n1"}),
        (
            node_features_of("n1"),
            f"{GROUP}/nodefeatures",
            {"labelSelector": "nfd.node.kubernetes.io/node-name=n1"},
        ),
        (node_feature_rules(), f"{GROUP}/nodefeaturerules", {}),
        (openshift_rules(), "/apis/nfd.openshift.io/v1alpha1/nodefeaturerules", {}),
        (config_map("a/b", "c"), "/api/v1/namespaces/a%2Fb/configmaps", {"fieldSelector": "metadata.name=c"}),
    ],
    ids=lambda value: value.description if isinstance(value, Resource) else "",
)
def test_a_resource_has_a_path_and_a_selector(resource: Resource[Any], path: str, selector: dict[str, str]) -> None:
    assert (resource.path, dict(resource.selector)) == (path, selector)


@pytest.mark.parametrize(
    ("resource", "missing"), [(node_feature_rules(), {404}), (openshift_rules(), {403, 404})], ids=["CRD", "optional"]
)
def test_a_kind_that_most_clusters_lack_is_also_missing_if_it_is_forbidden(
    resource: Resource[Any], missing: set[int]
) -> None:
    assert {status for status in (200, 401, 403, 404, 405, 500) if status in resource.missing} == missing


def test_a_node_has_the_number_of_its_list() -> None:
    obj = {"metadata": {"name": "n1", "uid": "u", "resourceVersion": "7"}}
    assert node("n1").parse(obj, 3) == node("n1").parse(obj, 3)
    assert node("n1").parse(obj, 3) != node("n1").parse(obj, 4)


def test_the_ownership_of_fields_is_removed_from_a_copy() -> None:
    obj = {"metadata": {"name": "r", "managedFields": [{"manager": "kubectl"}]}, "spec": {}}
    assert without_managed_fields(obj, 1) == {"metadata": {"name": "r"}, "spec": {}}
    assert "managedFields" in obj["metadata"]
