"""The requests of an attempt equal the permissions of the account of driver pods."""

from pathlib import Path

import yaml

from driver_manager.plan import WantedDriver
from tests.driver_manager.places import LOADED, Place, pod

ROLE = Path(__file__).parents[2] / "manifests/overlays/gpu-operator/gpu-operator.yaml"


def resource(path: str) -> str:
    """`pods/eviction` for `/api/v1/namespaces/ml/pods/train/eviction`."""
    parts = path.removeprefix("/api/v1/").removeprefix("/apis/resource.k8s.io/v1/").split("/")
    parts = parts[2:] if parts[0] == "namespaces" else parts
    return "/".join(parts[::2])


def test_the_requests_of_an_attempt_need_the_rights_of_the_role(place: Place) -> None:
    place.load(LOADED)
    place.enable_dcgm()
    place.add_pods([pod("train", gpus=1), pod("claim", claim="gpu")])
    place.api.claims = {"gpu": "gpu.nvidia.com"}
    place.uninstaller(WantedDriver(digest="b")).run()
    verbs = {"GET": "get", "PATCH": "patch", "POST": "create"}
    requested: dict[str, set[str]] = {}
    for verb, path in place.api.requests:
        if path == "/apis/resource.k8s.io":
            continue  # discovery, which every account may read
        name = resource(path)
        requested.setdefault(name, set()).add("list" if path.endswith("/pods") else verbs[verb])
    objects = yaml.safe_load_all(ROLE.read_text())
    rules = next(
        each["rules"]
        for each in objects
        if each["kind"] == "ClusterRole" and each["metadata"]["name"] == "gpunode-driver"
    )
    assert requested == {rule["resources"][0]: set(rule["verbs"]) for rule in rules}
