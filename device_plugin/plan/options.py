"""What the administrator of a node wants of its devices."""

from dataclasses import dataclass, field
from typing import Literal

from device_plugin.devices import Policy
from node_core.domain.device_rules import DeviceRules
from node_core.domain.sharing import Sharing

MigStrategy = Literal["none", "single", "mixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """policy: of replicas. mig_policy: of MIG devices that are not shared."""

    mig_strategy: MigStrategy = "none"
    sharing: Sharing | None = None
    rules: DeviceRules = field(default_factory=DeviceRules)
    policy: Policy = "distributed"
    mig_policy: Policy = "packed"
