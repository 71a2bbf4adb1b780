"""CDI specs as values: versions, merging and rendering."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_core.domain.cdi import (
    ALL,
    CdiDevice,
    DeviceNodeEdit,
    Edits,
    HookEdit,
    MountEdit,
    Spec,
    is_device_name,
    make_spec,
    merge,
    minimum_version,
    render_spec,
    with_all,
)
from gpu_core.domain.cdi_schema import problems_of
from tests.exhaustive import many

KIND = "vendor.com/gpu"
NODE = DeviceNodeEdit(path="/dev/a", host_path="/dev/a")

names = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.:]{0,8}[A-Za-z0-9])?", fullmatch=True)
paths = st.from_regex(r"(/[a-z]{1,3}){1,4}", fullmatch=True)
nodes = st.builds(
    DeviceNodeEdit,
    path=paths,
    host_path=paths,
    major=st.none() | st.integers(0, 300),
    file_mode=st.none() | st.integers(0, 0o777),
    gid=st.integers(0, 9),
)
mounts = st.builds(MountEdit, host_path=paths, container_path=paths)
hooks = st.builds(HookEdit, path=paths, args=st.tuples(names))
edits = st.builds(
    Edits,
    env=st.lists(st.builds("{}={}".format, names, names), max_size=3).map(tuple),
    device_nodes=st.lists(nodes, max_size=3).map(tuple),
    mounts=st.lists(mounts, max_size=3).map(tuple),
    hooks=st.lists(hooks, max_size=2).map(tuple),
    additional_gids=st.lists(st.integers(1, 9), max_size=3).map(tuple),
)
devices = st.lists(st.builds(CdiDevice, name=names, edits=edits.filter(bool)), min_size=1, max_size=4)


def spec_of(*edits: Edits, name: str = "gpu", kind: str = KIND) -> Spec:
    found = [CdiDevice(name=f"{name}{number or ''}", edits=each) for number, each in enumerate(edits)]
    return Spec(kind=kind, devices=tuple(found))


def mount(path: str) -> MountEdit:
    return MountEdit(host_path="/h", container_path=path)


@pytest.mark.parametrize(
    ("spec", "version"),
    [
        pytest.param(spec_of(Edits(device_nodes=(NODE,))), "0.3.0", id="nothing new"),
        pytest.param(spec_of(Edits(mounts=(mount("/a"),))), "0.3.0", id="mounts"),
        pytest.param(
            spec_of(Edits(device_nodes=(DeviceNodeEdit(path="/dev/a", host_path="/h/a"),))), "0.5.0", id="host path"
        ),
        pytest.param(spec_of(Edits(device_nodes=(NODE,)), name="0"), "0.5.0", id="digit"),
        pytest.param(spec_of(Edits(device_nodes=(NODE,)), kind="vendor.com/a.b"), "0.6.0", id="dot"),
        pytest.param(spec_of(Edits(additional_gids=(44,))), "0.7.0", id="groups"),
        pytest.param(
            Spec(kind=KIND, devices=spec_of(Edits(device_nodes=(NODE,))).devices, edits=Edits(additional_gids=(44,))),
            "0.7.0",
            id="common groups",
        ),
    ],
)
def test_a_spec_has_the_oldest_version_that_supports_its_features(spec: Spec, version: str) -> None:
    assert minimum_version(spec) == version
    assert render_spec(spec)["cdiVersion"] == version


@pytest.mark.parametrize("name", ["", "-a", "a-", "MIG-GPU-1/2/3", "a b", "a=b", "a\n", "é", "a,b"], ids=repr)
def test_an_invalid_device_name_is_refused(name: str) -> None:
    assert not is_device_name(name)
    with pytest.raises(ValueError, match="is not a valid CDI device name"):
        CdiDevice(name=name, edits=Edits(env=("A=b",)))


@pytest.mark.parametrize("name", ["0", "0:1", "GPU-5a", "a_b.c"])
def test_uuids_and_indexes_are_valid_device_names(name: str) -> None:
    assert CdiDevice(name=name, edits=Edits(env=("A=b",))).name == name


def test_a_device_without_edits_and_a_spec_without_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="has no edits"):
        CdiDevice(name="a", edits=Edits())
    with pytest.raises(ValueError, match="has no devices"):
        Spec(kind=KIND, devices=())
    assert make_spec(KIND, []) is None


def test_the_device_all_has_the_edits_of_all_devices() -> None:
    one, two = Edits(device_nodes=(NODE,), env=("A=1",)), Edits(mounts=(mount("/a"),), env=("A=1",))
    *_, union = with_all([CdiDevice(name="a", edits=one), CdiDevice(name="b", edits=two)])
    assert union == CdiDevice(name=ALL, edits=Edits(device_nodes=(NODE,), mounts=(mount("/a"),), env=("A=1",)))


def test_the_device_all_is_added_once_and_only_to_existing_devices() -> None:
    own = CdiDevice(name=ALL, edits=Edits(env=("A=1",)))
    assert with_all([own]) == (own,)
    assert with_all([]) == ()


def test_common_edits_are_not_repeated_unless_a_device_has_no_others() -> None:
    common = Edits(device_nodes=(NODE,))
    more = Edits(device_nodes=(NODE,), env=("A=1",))
    spec = make_spec(KIND, [CdiDevice(name="same", edits=common), CdiDevice(name="more", edits=more)], common)
    assert spec is not None
    assert [(device.name, device.edits) for device in spec.devices] == [("more", Edits(env=("A=1",))), ("same", common)]


def test_a_host_path_is_rendered_only_if_it_differs_from_the_path_in_the_container() -> None:
    nodes = (NODE, DeviceNodeEdit(path="/dev/b", host_path="/run/driver/dev/b"))
    (device,) = render_spec(spec_of(Edits(device_nodes=nodes)))["devices"]
    same, other = device["containerEdits"]["deviceNodes"]
    assert "hostPath" not in same
    assert (other["path"], other["hostPath"]) == ("/dev/b", "/run/driver/dev/b")


def test_mounts_are_sorted_by_depth_and_then_name() -> None:
    places = ("/usr/lib/b", "/usr/b", "/usr/a/c", "/z")
    spec = make_spec(KIND, [CdiDevice(name="a", edits=Edits(mounts=tuple(map(mount, places))))])
    assert spec is not None
    assert [each.container_path for each in spec.devices[0].edits.mounts] == ["/z", "/usr/b", "/usr/a/c", "/usr/lib/b"]


def test_of_two_mounts_at_one_path_the_first_remains() -> None:
    first, second = MountEdit(host_path="/1", container_path="/a"), MountEdit(host_path="/2", container_path="/a")
    assert merge([Edits(mounts=(first,)), Edits(mounts=(second,))]).mounts == (first,)
    twice = [CdiDevice(name="a", edits=Edits(env=(each,))) for each in ("A=1", "A=2")]
    spec = make_spec(KIND, twice)
    assert spec is not None
    assert spec.devices == (twice[0],)


def test_the_file_name_contains_the_kind() -> None:
    assert spec_of(Edits(env=("A=1",))).file_name == "vendor.com-gpu.json"


@many(30)
@given(devices, edits)
def test_every_spec_matches_the_schema(found: list[CdiDevice], common: Edits) -> None:
    spec = make_spec(KIND, with_all(found), common)
    assert spec is not None
    rendered = render_spec(spec)
    assert problems_of(rendered) == []
    assert problems_of(json.loads(json.dumps(rendered))) == []


@many(30)
@given(devices, edits, st.randoms())
def test_a_spec_does_not_depend_on_the_order_of_its_devices(
    found: list[CdiDevice], common: Edits, chance: Random
) -> None:
    unique = list({device.name: device for device in found}.values())
    shuffled = list(unique)
    chance.shuffle(shuffled)
    assert make_spec(KIND, unique, common) == make_spec(KIND, shuffled, common)


@many(30)
@given(edits, edits)
def test_merging_is_idempotent(one: Edits, two: Edits) -> None:
    merged = merge([one, two])
    assert merge([merged]) == merge([merged, one, merged]) == merged
    assert bool(merged) == (bool(one) or bool(two))


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"cdiVersion": "0.3.0", "kind": KIND, "devices": []},
        {"cdiVersion": "9.9.9", "kind": KIND, "devices": [{"name": "a", "containerEdits": {"env": ["A=1"]}}]},
        {"cdiVersion": "0.3.0", "kind": "gpu", "devices": [{"name": "a", "containerEdits": {"env": ["A=1"]}}]},
        {"cdiVersion": "0.3.0", "kind": KIND, "devices": [{"name": "a", "containerEdits": {"environment": []}}]},
        {
            "cdiVersion": "0.3.0",
            "kind": KIND,
            "devices": [{"name": "a", "containerEdits": {"deviceNodes": [{"path": 1}]}}],
        },
    ],
    ids=["empty", "no devices", "version", "kind", "unknown field", "number"],
)
def test_the_schema_check_finds_invalid_specs(broken: dict[str, object]) -> None:
    assert problems_of(broken) != []
