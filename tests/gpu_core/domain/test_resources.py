"""Names of resources."""

import pytest

from gpu_core.domain.resources import NamePattern, ResourceNames, mig_resource, resource_name, short_name


@pytest.mark.parametrize("text", ["gpu", "nvidia.com/gpu"])
def test_a_missing_prefix_is_added(text: str) -> None:
    assert resource_name(text) == "nvidia.com/gpu"
    assert short_name(resource_name(text)) == "gpu"


@pytest.mark.parametrize(
    ("profile", "name"),
    [("1g.10gb", "nvidia.com/mig-1g.10gb"), ("1g.10gb+me", "nvidia.com/mig-1g.10gb.me"),
     ("1g.10gb-me", "nvidia.com/mig-1g.10gb-me"), ("1c.3g.40gb", "nvidia.com/mig-1c.3g.40gb")],
)  # fmt: skip
def test_a_mig_profile_has_a_resource_name(profile: str, name: str) -> None:
    assert mig_resource(profile) == name


@pytest.mark.parametrize("text", ["", "nvidia.com/", "GPU", "a_b", "-a", "a.", "example.com/gpu", "a..b", "gpu\n", "ü"])
def test_an_invalid_resource_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not valid"):
        resource_name(text)


def test_a_resource_name_has_at_most_63_characters() -> None:
    assert len(resource_name("a" * 52)) == 63
    with pytest.raises(ValueError, match="has 64 characters"):
        resource_name("a" * 53)


NAMES = ResourceNames(
    gpus=(
        NamePattern(pattern="NVIDIA-A40", resource=resource_name("a40")),
        NamePattern(pattern="*A40*", resource=resource_name("like-a40")),
    ),
    mig=(NamePattern(pattern="1g.10gb.me", resource=resource_name("small")),),
)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("NVIDIA A40", "a40"),
        ("NVIDIA A40-48Q", "like-a40"),
        ("NVIDIA A400", "like-a40"),
        ("Tesla T4", "gpu"),
        ("", "gpu"),
    ],
)
def test_a_gpu_has_the_name_of_the_first_matching_pattern_or_the_default_name(model: str, name: str) -> None:
    assert NAMES.name_for_gpu(model) == f"nvidia.com/{name}"


def test_a_profile_pattern_matches_both_forms_of_a_profile() -> None:
    assert NAMES.name_for_mig("1g.10gb+me") == "nvidia.com/small"
    assert (NAMES.name_for_mig("1g.10gb"), NAMES.name_for_mig(None)) == (None, None)
