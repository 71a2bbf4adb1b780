"""The text for each reason, on the recorded cluster `waiting`."""

import pytest

from tests.conftest import Golden
from tests.gpunode.why.conftest import Why

PODS = {
    "wrong-value": 1, "wrong-key": 1, "wrong-affinity": 1, "taint": 1, "two-changes": 1, "in-use": 1, "unhealthy": 1, "too-many": 1,
    "mig-name": 1, "shared-name": 1, "not-registered": 1, "gate-label": 1, "cordoned": 1, "not-ready": 1, "without-gpu": 1, "cpu": 1,
    "fits": 0, "gated": 1, "other-scheduler": 1, "volume": 1, "anti-affinity": 1, "image": 1, "crashing": 1, "creating": 0, "mount": 1,
    "admission": 1, "node-lost": 1, "done": 0, "serve-0": 0,
}  # fmt: skip
WORKLOADS = {
    "deploy/quota": 1, "deploy/web": 1, "deploy/idle": 1, "sts/db": 0, "job/held": 1, "cronjob/nightly": 1, "ds/agent": 0, "web": 1,
}  # fmt: skip
"""Name -> exit status."""


@pytest.mark.golden
@pytest.mark.parametrize(("name", "status"), [*PODS.items(), *WORKLOADS.items()])
def test_the_text_for_each_reason(name: str, status: int, why: Why, golden: Golden) -> None:
    result = why(name)
    assert result.stderr == ""
    golden(f"gpunode/why/{name.replace('/', '-')}.txt", result.stdout)
    assert result.exit_code == status
