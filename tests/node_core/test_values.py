from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from node_core.values import replace


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    number: int
    text: str = ""


@pytest.mark.parametrize("kind", [Struct, Settings])
def test_a_copy_has_the_changed_fields_and_the_other_fields_of_the_original(
    kind: type[Struct] | type[Settings],
) -> None:
    original = kind(number=1, text="a")
    assert replace(original, number=2) == kind(number=2, text="a")
    assert original == kind(number=1, text="a")


@pytest.mark.parametrize("value", [Struct(number=1), Settings(number=1)])
def test_an_unknown_name_is_an_error(value: Any) -> None:
    with pytest.raises(TypeError, match="other"):
        replace(value, other=2)
