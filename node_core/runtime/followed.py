"""The settings of an agent that looks in passes, where a label of its Node chooses among configs."""

from collections.abc import Callable
from typing import Generic, TypeVar

from node_core.domain.labels import Labels
from node_core.errors import NodeError
from node_core.runtime import metrics
from node_core.runtime.named_config import NamedConfigs
from node_core.runtime.services import Services

Settings = TypeVar("Settings")


class Followed(Generic[Settings]):
    """labels: the Node's, None before it was seen; may raise NodeError. Trouble is reported as the check `<agent>/config`.

    What cannot be applied leaves the settings as they were.
    """

    def __init__(
        self,
        agent: str,
        configs: NamedConfigs[Settings],
        labels: Callable[[], Labels | None],
        services: Services,
    ) -> None:
        self._agent = agent
        self._configs = configs
        self._labels = labels
        self._services = services
        self._problem: str | None = None
        services.readiness.expect(f"{agent}/config")

    def __call__(self) -> Settings | None:
        """Those that count now; None before the first that could be read: until then nobody knows what is meant."""
        try:
            labels = self._labels()
        except NodeError as error:
            self._report(str(error))
            return self._configs.settings
        if labels is not None:
            self._configs.follow(labels)
            self._report(self._configs.problem)
        return self._configs.settings

    def _report(self, problem: str | None) -> None:
        """A problem that is new counts as an error."""
        self._services.readiness.report(f"{self._agent}/config", problem)
        if problem is not None and problem != self._problem:
            self._services.metrics.add(metrics.ERRORS, agent=self._agent, check="config")
        self._problem = problem
