"""The names of DaemonSets, and of their images."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_operator.plan.names import MAX_NAME, daemon_set_name, name_pools
from gpu_operator.plan.node_facts import OS_VERSION
from gpu_operator.plan.pools import NodePool
from gpu_operator.render.image import driver_image, manager_image
from gpu_operator.spec import DriverSpec, ImageSection
from node_core.domain.labels import object_name_problem
from node_core.values import replace

POOL = NodePool(driver="default", os_id="ubuntu", os_version="22.04", architecture="amd64", version_label=OS_VERSION)
DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("pool", "name"),
    [
        (POOL, "nvidia-driver-daemonset-ubuntu22.04"),
        (replace(POOL, kernel="5.15.0-105-generic"), "nvidia-driver-daemonset-5.15.0-105-generic-ubuntu22.04"),
        (replace(POOL, architecture="arm64"), "nvidia-driver-daemonset-ubuntu22.04-arm64"),
        (replace(POOL, driver="new"), "nvidia-driver-daemonset-ubuntu22.04-amd64-new"),
        (
            replace(POOL, os_id="rhel", os_version="9", kernel="5.14.0-427.el9_4.x86_64"),
            "nvidia-driver-daemonset-5.14.0-427.el9.4.x86.64-rhel9",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_names_are_those_of_upstream_with_what_distinguishes_them(pool: NodePool, name: str) -> None:
    assert daemon_set_name(pool) == name


def test_an_object_that_is_named_as_an_architecture_has_other_names() -> None:
    assert daemon_set_name(replace(POOL, driver="arm64")) != daemon_set_name(replace(POOL, architecture="arm64"))


WORD = st.text("aZ9._-", min_size=1, max_size=63)
POOLS = st.builds(
    NodePool,
    driver=st.sampled_from(["default", "a", "a-b", "x" * 200]),
    os_id=WORD,
    os_version=WORD,
    architecture=st.sampled_from(["amd64", "arm64"]),
    kernel=WORD | st.just(""),
    version_label=st.just(OS_VERSION),
)


@given(st.sets(POOLS, max_size=6))
def test_every_name_is_valid_and_no_two_pools_share_one(pools: set[NodePool]) -> None:
    names = name_pools(pools)
    assert len(set(names.values())) == len(pools)
    for name in names.values():
        assert len(name) <= MAX_NAME
        assert object_name_problem(name) is None
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name), "the name is also the value of a label"


@given(st.sets(POOLS, min_size=2, max_size=6))
def test_another_pool_does_not_change_a_name_that_differs(pools: set[NodePool]) -> None:
    first = min(pools)
    assert name_pools(pools)[first] == name_pools({first})[first]


@pytest.mark.parametrize(
    ("spec", "pool", "image"),
    [
        (DriverSpec(version="580.95.05"), POOL, "nvcr.io/nvidia/driver:580.95.05-ubuntu22.04"),
        (DriverSpec(version="580"), replace(POOL, kernel="6.8.0-1"), "nvcr.io/nvidia/driver:580-6.8.0-1-ubuntu22.04"),
        (DriverSpec(version=DIGEST, repository="r/", image="i"), POOL, f"r/i@{DIGEST}"),
        (DriverSpec(version="1", repository="", image="i"), POOL, "i:1-ubuntu22.04"),
    ],
)
def test_the_image_of_a_driver(spec: DriverSpec, pool: NodePool, image: str) -> None:
    assert driver_image(spec, pool) == image


@pytest.mark.parametrize(
    ("section", "image"),
    [
        (ImageSection(), "own:1"),
        (ImageSection(version="2"), "own:1"),
        (ImageSection(repository="r", image="i", version="2"), "r/i:2"),
        (ImageSection(image="i"), "i"),
        (ImageSection(image="i", version=DIGEST), f"i@{DIGEST}"),
    ],
)
def test_the_image_of_the_init_container(section: ImageSection, image: str) -> None:
    assert manager_image(section, "own:1") == image
