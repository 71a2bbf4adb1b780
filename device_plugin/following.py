"""What the Node's labels choose: the config that counts, and with strategy `auto` how MIG devices are advertised."""

import structlog

from device_plugin.plan.auto import follow_label
from device_plugin.plan.options import MigStrategy, PlanOptions
from device_plugin.report import Reporter
from device_plugin.settings import PluginSettings
from node_core.domain.labels import Labels
from node_core.runtime.named_config import NamedConfigs

log = structlog.get_logger(__name__)


class Following:
    """settings: those that count now. configs: of which a label names one; None where flags and one file are all."""

    def __init__(self, settings: PluginSettings, configs: NamedConfigs[PluginSettings] | None) -> None:
        self.settings = settings
        self._configs = configs
        self._mig_strategy: MigStrategy = "none"

    @property
    def is_settled(self) -> bool:
        """Whether there is anything to go by: before the first config that can be read, nobody knows what is meant."""
        return self._configs is None or self._configs.settings is not None

    @property
    def plan_options(self) -> PlanOptions:
        settings = self.settings
        return PlanOptions(
            mig_strategy=self._mig_strategy if settings.mig_strategy == "auto" else settings.mig_strategy,
            sharing=settings.sharing,
            rules=settings.rules,
            policy=settings.policy,
            mig_policy=settings.mig_policy,
        )

    def follow(self, labels: Labels, report: Reporter) -> None:
        """labels: the Node's; none before it was seen."""
        if self._configs is not None and labels:
            self._follow_config(self._configs, labels, report)
        problem = None
        if self.settings.mig_strategy == "auto":
            self._mig_strategy, problem = follow_label(labels, self._mig_strategy)
        report.check("mig-strategy", problem)

    def _follow_config(self, configs: NamedConfigs[PluginSettings], labels: Labels, report: Reporter) -> None:
        is_new = configs.follow(labels)
        report.check("config", configs.problem)
        if is_new and configs.settings is not None:
            self.settings = configs.settings
