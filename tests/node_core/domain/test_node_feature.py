from node_core.domain.node_feature import without_empty


def test_only_features_without_elements_are_removed() -> None:
    full: dict[str, dict[str, str]] = {"elements": {"a": "1"}}
    empty: dict[str, dict[str, str]] = {"elements": {}}
    body = {
        "kind": "NodeFeature",
        "spec": {"labels": {"l": "1"}, "features": {"attributes": {"x": full, "y": empty}, "flags": {"z": empty}}},
    }
    assert without_empty(body) == {
        "kind": "NodeFeature",
        "spec": {"labels": {"l": "1"}, "features": {"attributes": {"x": full}}},
    }
