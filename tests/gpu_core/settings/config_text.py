"""Loads texts as NVIDIA's config file."""

from pathlib import Path

import pytest

from gpu_core.domain.sharing import SharedResource, Sharing
from gpu_core.settings.nvidia_config import Section, decode_nvidia_config
from node_core.decode import read_yaml
from node_core.errors import SettingsError

MINIMAL = "sharing: {timeSlicing: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}"


def load(tmp_path: Path, text: str, *sections: Section) -> Sharing | None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    config, _, _ = decode_nvidia_config(read_yaml(path), sections or ("gfd",), source=str(path))
    return config.sharing


def problems(tmp_path: Path, text: str, *sections: Section) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, *sections)
    return [problem.removeprefix(f"{tmp_path}/config.yaml: ") for problem in caught.value.problems]


def only(sharing: Sharing | None) -> SharedResource:
    assert sharing is not None
    (shared,) = sharing.resources
    return shared
