"""What is to become of inputs that are too long."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from app.domain.generation import Truncation

__all__ = ["TruncateField", "truncation_of"]

TruncateField: TypeAlias = Annotated[
    bool | Literal["none", "end", "start", "NONE", "END", "START"] | None,
    Field(description="Where an input that is too long is cut: true or 'end', 'start'. Otherwise it is refused."),
]


def truncation_of(field: bool | str | None) -> Truncation:
    if isinstance(field, bool):
        return Truncation.END if field else Truncation.NONE
    return Truncation(field.lower()) if field is not None else Truncation.NONE
