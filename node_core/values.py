"""Frozen values: a value never changes, and `replace` returns a changed copy.

Values are `msgspec.Struct` and not dataclasses: Python compiles the methods of a dataclass at each import, which takes 1 ms a class.
msgspec creates the class in C in 0.02 ms. Only settings are dataclasses, because the declaration of a setting is metadata of its field.
"""

import dataclasses
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # mypy knows the fields of the class only for this name
    from dataclasses import replace
else:

    def replace(value, /, **changes):
        """Returns a copy of a struct or a dataclass with other values of these fields. Raises TypeError for unknown names."""
        if isinstance(value, msgspec.Struct):
            return msgspec.structs.replace(value, **changes)
        return dataclasses.replace(value, **changes)


__all__ = ["replace"]
