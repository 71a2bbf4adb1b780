"""A value in a document from somebody, and where it stands. What is wrong is noted with its path, and reading goes on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from node_core.decode import closest

_LONG = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """notes: shared by all spots of a document. lenient: scalars are taken where text is expected, as nfd-worker does."""

    value: Any
    path: str = ""
    notes: list[str] = field(default_factory=list)
    lenient: bool = False

    def note(self, why: str) -> None:
        self.notes.append(f"{self.path or 'the document'}: {why}")

    def below(self, step: str, value: Any) -> "Spot":
        path = step if not self.path else f"{self.path}{step}" if step.startswith("[") else f"{self.path}.{step}"
        return Spot(value=value, path=path, notes=self.notes, lenient=self.lenient)

    def record(self, known: Sequence[str], required: Sequence[str] = ()) -> dict[str, "Spot"]:
        """The fields that are there; null is as good as absent. Unknown and missing ones are noted."""
        fields = self.mapping()
        for key, spot in fields.items():
            if key not in known:
                spot.note(f"unknown key{suggest(key, known)}")
        for key in required if isinstance(self.value, Mapping) else ():
            if key not in fields:
                self.below(key, None).note("is missing")
        return {key: spot for key, spot in fields.items() if key in known and spot.value is not None}

    def mapping(self) -> dict[str, "Spot"]:
        if not isinstance(self.value, Mapping):
            self._expected("a mapping")
            return {}
        spots = {key: self.below(_step(key), value) for key, value in self.value.items() if is_text(key)}
        for key in self.value:
            if not is_text(key):
                self.below(_step(repr(key)), None).note(f"expected text as a key, got {describe(key)}")
        return spots

    def items(self) -> Iterator["Spot"]:
        if isinstance(self.value, list):
            return (self.below(f"[{index}]", item) for index, item in enumerate(self.value))
        self._expected("a list")
        return iter(())

    def text(self) -> str:
        value = self.value
        if self.lenient and isinstance(value, bool | int | float):
            return str(value).lower().removesuffix(".0")
        if is_text(value):
            return str(value)
        self._expected("text")
        return ""

    def texts(self) -> tuple[str, ...]:
        return tuple(spot.text() for spot in self.items())

    def text_map(self) -> dict[str, str]:
        return {key: spot.text() for key, spot in self.mapping().items()}

    def _expected(self, what: str) -> None:
        self.note(f"expected {what}, got {describe(self.value)}")


def _step(key: str) -> str:
    shown = key if len(key) <= _LONG else f"{key[:_LONG]}..."
    return shown if shown.isprintable() else repr(shown)


def describe(value: Any) -> str:
    """The kind of a value, for people; of a number or true and false, what to do where text is expected."""
    if isinstance(value, str):
        return "text" if is_text(value) else "half of a Unicode character"
    kind = {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value), type(value).__name__)
    return f"{kind} {value!r:.40}: write it in quotes" if isinstance(value, bool | int | float) else kind


def is_text(value: Any) -> bool:
    """Whether it is text that can be written anywhere: YAML and JSON can also spell half of a surrogate pair."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def suggest(word: str, known: Sequence[str]) -> str:
    """` (did you mean X?)`, or nothing; a word in another case is always near."""
    same = [each for each in known if each.lower() == word.lower()]
    return f" (did you mean {same[0]}?)" if same else closest(word, list(known))
