"""Scenarios that run on a real and on a simulated cluster. One file for each topic. Scenarios with the same agents are adjacent.

A scenario uses only its World, and restores the cluster, except Pods and Nodes, which `World.clean` removes.
"""

from tests.e2e.scenarios import (
    boot,
    cdi,
    configs,
    driver_pools,
    drivers,
    examples,
    gpus,
    groups,
    health,
    install,
    labels,
    metrics,
    mig,
    mig_manager,
    numa,
    outages,
    people,
    premium,
    rules,
    sharing,
    toolkit,
    upgrades,
    validator,
    why,
)
from tests.e2e.scenarios.scenario import Scenario

ALL: tuple[Scenario, ...] = (
    *labels.SCENARIOS,
    *gpus.SCENARIOS,
    *groups.SCENARIOS,
    *why.SCENARIOS,
    *people.SCENARIOS,
    *rules.SCENARIOS,
    *outages.SCENARIOS,
    *numa.SCENARIOS,
    *boot.SCENARIOS,
    *premium.SCENARIOS,
    *mig.SCENARIOS,
    *mig_manager.SCENARIOS,
    *sharing.SCENARIOS,
    *metrics.SCENARIOS,
    *configs.SCENARIOS,
    *cdi.SCENARIOS,
    *toolkit.SCENARIOS,
    *validator.SCENARIOS,
    *driver_pools.SCENARIOS,
    *health.SCENARIOS,
    *examples.SCENARIOS,
    *drivers.SCENARIOS,
    *install.SCENARIOS,
    *upgrades.SCENARIOS,
)
SIMULATED = tuple(each for each in ALL if each.real_only is None)
