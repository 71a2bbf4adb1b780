"""The settings that the plan depends on."""

from typing import Literal

import msgspec

from device_plugin.devices import Policy
from gpu_core.domain.device_rules import DeviceRules
from gpu_core.domain.sharing import Sharing

MigStrategy = Literal["none", "single", "mixed"]


class PlanOptions(msgspec.Struct, frozen=True, kw_only=True):
    """policy: how replicas are selected. mig_policy: how MIG devices that are not shared are selected."""

    mig_strategy: MigStrategy = "none"
    sharing: Sharing | None = None
    rules: DeviceRules = msgspec.field(default_factory=DeviceRules)
    policy: Policy = "distributed"
    mig_policy: Policy = "distributed"
