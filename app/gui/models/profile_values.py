"""How a value of a setting is written, and read from what a person typed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QCoreApplication, QLocale

__all__ = ["Choice", "FilePath", "Names", "Notation", "Number", "Numbers", "PlainText", "Quoted", "choice_text"]


class Notation(Protocol):
    """`parse` gets a text that is not empty, and raises ValueError with a sentence on what to type instead."""

    def show(self, value: Any) -> str: ...

    def parse(self, text: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `least` to `most`; `word` is what `word_value` is called. A shown 1 is kept as `scale`."""

    least: float
    most: float
    whole: bool = True
    word: str = ""
    word_value: Any = None
    scale: float = 1.0

    def show(self, value: Any) -> str:
        if self.word and value == self.word_value:
            return self.word
        if value is None:
            return ""
        shown = value / self.scale
        return str(round(shown)) if self.whole else f"{shown:.9g}".replace(".", QLocale().decimalPoint())

    def parse(self, text: str) -> Any:
        if self.word and text.casefold() == self.word.casefold():
            return self.word_value
        try:
            number = int(text) if self.whole else float(text.replace(",", "."))
        except ValueError:
            number = math.nan
        kept = number * self.scale if self.scale != 1.0 else number
        if kept == self.word_value:
            return kept
        if not self.least <= number <= self.most:
            raise ValueError(self._advice())
        return kept

    def _advice(self) -> str:
        kind = _tr("a whole number") if self.whole else _tr("a number")
        limits = (f"{self.least:g}", f"{self.most:.12g}")
        if self.word:
            return _tr("Enter {0} from {1} to {2}, or “{3}”.").format(kind, *limits, self.word)
        return _tr("Enter {0} from {1} to {2}.").format(kind, *limits)


@dataclass(frozen=True, slots=True)
class PlainText:
    """`empty` is what no text at all is called."""

    empty: str = ""

    def show(self, value: str | None) -> str:
        return value or self.empty

    def parse(self, text: str) -> str:
        return text


@dataclass(frozen=True, slots=True)
class FilePath:
    empty: str = ""

    def show(self, value: Path | None) -> str:
        return str(value) if value is not None else self.empty

    def parse(self, text: str) -> str:
        return str(Path(text).expanduser())


@dataclass(frozen=True, slots=True)
class Names:
    """Several names, with commas between them."""

    empty: str = ""

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(value) or self.empty

    def parse(self, text: str) -> tuple[str, ...]:
        return tuple(name.strip() for name in text.split(",") if name.strip())


@dataclass(frozen=True, slots=True)
class Quoted:
    """Several texts that may be of blanks and commas: each in quotation marks, as in JSON."""

    def show(self, value: tuple[str, ...]) -> str:
        return ", ".join(json.dumps(text, ensure_ascii=False) for text in value)

    def parse(self, text: str) -> tuple[str, ...]:
        try:
            texts = json.loads(f"[{text}]")
        except ValueError:
            texts = [None]
        if not all(isinstance(one, str) for one in texts):
            raise ValueError(_tr("Enter texts in quotation marks with commas between them, such as {0}.").format('"\\n", ":"'))
        return tuple(texts)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Several numbers, none below 0, with blanks between them."""

    empty: str = ""

    def show(self, value: tuple[float, ...]) -> str:
        return " ".join(f"{number:g}" for number in value) or self.empty

    def parse(self, text: str) -> tuple[float, ...]:
        try:
            numbers = tuple(map(float, text.replace(";", " ").split()))
        except ValueError:
            numbers = (-1.0,)
        if not all(0 <= number < math.inf for number in numbers):
            raise ValueError(_tr("Enter numbers with blanks between them, such as “3 1”."))
        return numbers


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values, each with what it is called."""

    choices: tuple[tuple[Any, str], ...]

    @classmethod
    def switch(cls) -> Choice:
        return cls(((True, _tr("On")), (False, _tr("Off"))))


def choice_text(choice: Choice, value: Any) -> str:
    return next((text for known, text in choice.choices if known == value), str(value))


def _tr(text: str) -> str:
    return QCoreApplication.translate("profile", text)
