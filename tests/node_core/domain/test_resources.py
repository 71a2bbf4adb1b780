"""Names of resources."""

import pytest

from node_core.domain.resources import mig_resource, resource_name, short_name


@pytest.mark.parametrize("text", ["gpu", "nvidia.com/gpu"])
def test_the_prefix_is_added_where_it_is_missing(text: str) -> None:
    assert resource_name(text) == "nvidia.com/gpu"
    assert short_name(resource_name(text)) == "gpu"


@pytest.mark.parametrize(
    ("profile", "name"),
    [("1g.10gb", "nvidia.com/mig-1g.10gb"), ("1g.10gb+me", "nvidia.com/mig-1g.10gb.me"),
     ("1g.10gb-me", "nvidia.com/mig-1g.10gb-me"), ("1c.3g.40gb", "nvidia.com/mig-1c.3g.40gb")],
)  # fmt: skip
def test_mig_profiles_have_resources(profile: str, name: str) -> None:
    assert mig_resource(profile) == name


@pytest.mark.parametrize("text", ["", "nvidia.com/", "GPU", "a_b", "-a", "a.", "example.com/gpu", "a..b", "gpu\n", "ü"])
def test_a_name_that_kubernetes_would_not_take_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not valid"):
        resource_name(text)


def test_a_name_may_have_63_characters() -> None:
    assert len(resource_name("a" * 52)) == 63
    with pytest.raises(ValueError, match="has 64 characters"):
        resource_name("a" * 53)
