"""The policy of an upgrade, and values that are not valid."""

from typing import Any

import pytest

from gpu_operator.spec import decode_spec


def policy_of(policy: Any) -> Any:
    decoded = decode_spec({"version": "580.95.05", "upgradePolicy": policy})
    return decoded.spec and decoded.spec.upgrade_policy, decoded.problems


def test_the_defaults_are_those_of_nvidia() -> None:
    policy, problems = policy_of({})
    assert problems == ()
    assert (policy.auto_upgrade, policy.max_parallel_upgrades, policy.max_unavailable) == (True, 1, "25%")
    assert (policy.wait_for_completion.timeout_seconds, policy.pod_deletion.timeout_seconds) == (0, 300)
    assert (policy.drain.enable, policy.drain.timeout_seconds) == (False, 300)


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({"maxParallelUpgrades": -1}, "spec.upgradePolicy.maxParallelUpgrades: must be"),
        ({"maxUnavailable": "a lot"}, "spec.upgradePolicy.maxUnavailable: must be"),
        ({"maxUnavailable": -1}, "spec.upgradePolicy.maxUnavailable: must be"),
        ({"maxUnavailable": "101%"}, "spec.upgradePolicy.maxUnavailable: must be"),
        ({"drain": {"timeoutSeconds": "5m"}}, "spec.upgradePolicy.drain.timeoutSeconds: must be"),
        (
            {"drain": {"podSelector": "a=b=c"}},
            "spec.upgradePolicy.drain.podSelector: 'a=b=c' is not a label requirement",
        ),
        ({"waitForCompletion": {"podSelector": "!"}}, "spec.upgradePolicy.waitForCompletion.podSelector: '!' is not"),
        ([], "spec.upgradePolicy"),
    ],
    ids=str,
)
def test_a_value_that_is_not_valid_is_named(policy: Any, problem: str) -> None:
    found, (why, *_) = policy_of(policy)
    assert found is None
    assert why.startswith(problem)
