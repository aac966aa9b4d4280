"""Words as they are: what a renderer that knows nothing of segments would be given."""

from __future__ import annotations

__all__ = ["STOP", "PlainWording"]

STOP = "\ufdd0"


class PlainWording:
    def content(self, text: str) -> str:
        return text

    def value(self, text: str) -> str:
        return text

    def picture(self, index: int) -> str:
        return ""

    def stop(self) -> str:
        return STOP
