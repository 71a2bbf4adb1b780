"""The labels of each model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfd.labelers.models import MAX_MODEL, model_key
from gpu_core.domain.inventory import ComputeCapability
from gpu_core.domain.mig import MIB
from node_core.domain.labels import key_problem, sanitize
from tests.gfd.labelers.inventories import A40, T4, gpu, labels_below, node

SERVER = "NVIDIA RTX PRO 6000 Blackwell Server Edition"
WORKSTATION = "NVIDIA RTX PRO 6000 Blackwell Workstation Edition"
MAX_Q = "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition"


def test_every_model_has_its_own_labels() -> None:
    ampere = ComputeCapability(major=8, minor=6)
    a40 = gpu(2, A40, memory_bytes=46068 * MIB, compute=ampere, mig_enabled=True)
    assert labels_below("gpu.product.", node(gpu(0), gpu(1), a40)) == {
        "Tesla-T4.count": "2",
        "Tesla-T4.memory": "15360",
        "Tesla-T4.family": "turing",
        "NVIDIA-A40.count": "1",
        "NVIDIA-A40.memory": "46068",
        "NVIDIA-A40.family": "ampere",
    }


def test_models_with_the_same_sanitised_name_are_one_model() -> None:
    assert labels_below("gpu.product.", node(gpu(0, "Tesla T4"), gpu(1, "Tesla  (T4)")))["Tesla-T4.count"] == "2"


def test_a_model_without_letters_has_no_labels() -> None:
    assert labels_below("gpu.product.", node(gpu(0, "(?)"))) == {}


@pytest.mark.parametrize(
    ("model", "key"),
    [
        (T4, "Tesla-T4"),
        (SERVER, "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition"),
        (WORKSTATION, "NVIDIA-RTX-PRO-6000-Blackwell-Works-"),
        (MAX_Q, "NVIDIA-RTX-PRO-6000-Blackwell-Max-Q-"),
    ],
)
def test_a_long_model_is_shortened(model: str, key: str) -> None:
    found = model_key(model)
    assert found.startswith(key)
    assert len(found) in (len(key), MAX_MODEL)


def test_the_short_form_of_a_model_never_changes() -> None:
    assert model_key(WORKSTATION) == "NVIDIA-RTX-PRO-6000-Blackwell-Works-3836063b"


def test_long_models_with_the_same_prefix_have_different_keys() -> None:
    models = [f"NVIDIA {'X' * 60} {number}" for number in range(2000)]
    assert len({model_key(model) for model in models}) == len(models)


@given(st.text(max_size=120))
def test_the_key_of_a_model_is_valid_or_empty(model: str) -> None:
    key = model_key(model)
    assert key_problem(f"nvidia.com/gpu.product.{key}.memory") is None or not key
    assert bool(key) == bool(sanitize(model))
