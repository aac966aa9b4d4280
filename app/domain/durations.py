"""How long to keep something, as people and other programs write it."""

from __future__ import annotations

import math
import re

__all__ = ["FOREVER", "keep_alive_s"]

FOREVER = -1.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_LONGEST_S = 10 * 365 * 86400.0


def keep_alive_s(given: str | float) -> float:
    """Seconds from a number of seconds or from "90s", "5m", "1h30m"; anything below 0 means for ever, which is -1.

    Raises ValueError with a sentence.
    """
    if not isinstance(given, str):
        seconds = float(given)
    else:
        text = given.strip().lower()
        sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
        seconds = sign * _seconds(text, given)
    if math.isnan(seconds):
        raise ValueError("'nan' is no duration.")
    return min(seconds, _LONGEST_S) if seconds >= 0 else FOREVER


def _seconds(text: str, given: str) -> float:
    if _WHOLE.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    raise ValueError(f"'{given[:40]}' is no duration. Write seconds, or something like 5m or 1h; -1 means for ever.")
