"""What a file's name says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Shard", "base_name", "quantization_in", "shard_of"]

_QUANTIZATION: Final = re.compile(
    r"""(?<![A-Za-z0-9])
    ( (?:UD-)?
      (?: IQ[1-4]_(?:XXS|XS|S|M|NL)
        | T?Q[1-8]_(?:K(?:_[A-Z]{1,3})?|[01])
        | MXFP4 (?:_MOE)? | NVFP4 | BF16 | FP?16 | FP?32
      ) (?:_(?:XXL|XL|L|M|S|XS|NL))?
    )(?![A-Za-z0-9])""",
    re.VERBOSE | re.IGNORECASE,
)
_SHARD: Final = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a model in several files; `number` counts from 1."""

    stem: str
    number: int
    count: int


def shard_of(stem: str) -> Shard | None:
    """Whether a file's stem says that it is one of several parts."""
    found = _SHARD.match(stem)
    return Shard(found["stem"], int(found["number"]), int(found["count"])) if found else None


def quantization_in(name: str) -> str:
    """The quantization a file's name ends with, in capitals, such as "Q4_K_M" or "UD-Q4_K_XL"; "" if it has none."""
    found = _QUANTIZATION.findall(name)
    return re.sub("^FP", "F", found[-1].upper()) if found else ""


def base_name(stem: str) -> str:
    """A stem without its quantization: `Qwen3-8B-Q4_K_M` gives `Qwen3-8B`."""
    return re.sub(r"[-._\s]+$", "", re.sub(r"[-._]{2,}", "-", _QUANTIZATION.sub("", stem)))
