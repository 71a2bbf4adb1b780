"""The labels of nfd-lite as data, for the documentation and `gpunode labels`. The agent does not import this module."""

from collections.abc import Mapping

from nfd_lite import gpu_present, pre_installed_driver
from nfd_lite.label_keys import PREFIX
from nfd_lite.rule_pass import CUSTOM
from nfd_lite.rules import custom
from nfd_lite.sources import ALL, DRIVER_COLLECTOR, GPU_PRESENT_COLLECTOR
from node_core.domain.label_declaration import LabelDeclaration
from node_core.values import replace


def _qualify(declared: LabelDeclaration) -> LabelDeclaration:
    is_any = declared.key.startswith("<")
    return declared if is_any else replace(declared, key=PREFIX + declared.key)


DECLARED: Mapping[str, tuple[LabelDeclaration, ...]] = {
    **{each.name: tuple(map(_qualify, each.declared)) for each in ALL if each.declared},
    CUSTOM: tuple(map(_qualify, custom.DECLARED)),
    GPU_PRESENT_COLLECTOR: (gpu_present.DECLARED,),
    DRIVER_COLLECTOR: (pre_installed_driver.DECLARED,),
}
"""Collector -> its labels, with full keys. The key `<key>` stands for the keys of feature files. The collector of rules has only the
labels of the built-in rules."""
