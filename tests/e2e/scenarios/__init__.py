"""What must come true on a Node, whoever plays the cluster. One file per concern; those with the same agents stand together.

A scenario sees the cluster through its World alone, and leaves it as it found it, but for Pods and Nodes, which are cleaned up.
"""

from tests.e2e.scenarios import (
    boot,
    cdi,
    configs,
    examples,
    gpus,
    health,
    install,
    labels,
    mig,
    numa,
    outages,
    people,
    premium,
    rules,
    sharing,
)
from tests.e2e.scenarios.scenario import Scenario

ALL: tuple[Scenario, ...] = (
    *labels.SCENARIOS,
    *gpus.SCENARIOS,
    *people.SCENARIOS,
    *rules.SCENARIOS,
    *outages.SCENARIOS,
    *numa.SCENARIOS,
    *boot.SCENARIOS,
    *premium.SCENARIOS,
    *mig.SCENARIOS,
    *sharing.SCENARIOS,
    *configs.SCENARIOS,
    *cdi.SCENARIOS,
    *health.SCENARIOS,
    *examples.SCENARIOS,
    *install.SCENARIOS,
)
IN_STAND_INS = tuple(each for each in ALL if each.real_only is None)
