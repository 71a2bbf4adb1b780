"""How containers are told of the devices of each resource, by the settings."""

import uuid
from collections.abc import Sequence

from device_plugin.allocate.respond import Strategy
from device_plugin.allocate.strategies import Answering, build_strategies
from device_plugin.devices import Offer
from device_plugin.manager import Answers
from device_plugin.settings import ResponseSettings
from node_core.domain.resources import ResourceName


def build_answers(settings: ResponseSettings) -> Answers:
    """The same for every resource."""
    how = Answering(
        lists=settings.device_lists,
        id_strategy=settings.id_strategy,
        annotation_prefix=settings.cdi.annotation_prefix,
        device_specs=settings.pass_device_specs,
        dev_root=settings.dev_root or settings.driver_root,
        imex_channels=settings.imex_channels,
        optional=tuple(name for name in ("gdrcopy", "gds", "mofed") if getattr(settings, name)),
    )
    strategies = build_strategies(how, lambda: str(uuid.uuid4()))

    def answers(_: ResourceName, __: Offer) -> Sequence[Strategy]:
        return strategies

    return answers
