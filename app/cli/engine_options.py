"""Options of `hearth serve` about how models are loaded, under the names that llama.cpp's users know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from app.domain.durations import keep_alive_s

__all__ = [
    "BatchSizeOption",
    "CacheTypeKOption",
    "CacheTypeVOption",
    "ChatTemplateOption",
    "DeviceOption",
    "FlashAttentionOption",
    "KeepAliveOption",
    "LoraOption",
    "MaxModelsOption",
    "MemoryCheckOption",
    "MemoryLimitOption",
    "MlockOption",
    "MmapOption",
    "ReasoningBudgetOption",
    "ReasoningEffortOption",
    "RopeFreqBaseOption",
    "RopeOriginalOption",
    "RopeScaleOption",
    "RopeScalingOption",
    "TensorSplitOption",
    "UbatchSizeOption",
    "adapters",
    "chosen_template",
    "kept_alive",
    "shares",
]

_CACHE_TYPES = "f32|f16|bf16|q8_0|q5_1|q5_0|q4_1|q4_0|iq4_nl"

ChatTemplateOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--chat-template", metavar="NAME|FILE", help="Instead of the models' own: chatml, or a Jinja file."),
]
ReasoningEffortOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--reasoning-effort",
        metavar="auto|none|on|minimal|low|medium|high|xhigh|max",
        help="How much models think where a request does not say.",
    ),
]
ReasoningBudgetOption: TypeAlias = Annotated[
    int | None, typer.Option("--reasoning-budget", min=-1, help="Tokens a model may think before it has to answer; -1: any.")
]
DeviceOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--device", metavar="NAME", help="A GPU to use, as `hearth devices` names it. Repeatable.")
]
TensorSplitOption: TypeAlias = Annotated[
    str | None, typer.Option("--tensor-split", metavar="N,N,…", help="Share of each GPU, instead of by free memory.")
]
CacheTypeKOption: TypeAlias = Annotated[
    str | None, typer.Option("--cache-type-k", metavar=_CACHE_TYPES, help="Type of the context's keys.")
]
CacheTypeVOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--cache-type-v", metavar=_CACHE_TYPES, help="Type of the context's values; a q type needs flash attention."),
]
FlashAttentionOption: TypeAlias = Annotated[
    str | None, typer.Option("--flash-attn", metavar="auto|on|off", help="Flash attention.")
]
BatchSizeOption: TypeAlias = Annotated[
    int | None, typer.Option("--batch-size", min=32, max=65536, help="Tokens decoded in one call.")
]
UbatchSizeOption: TypeAlias = Annotated[
    int | None, typer.Option("--ubatch-size", min=32, max=65536, help="Tokens computed at once; fewer take less memory.")
]
MmapOption: TypeAlias = Annotated[
    bool | None, typer.Option("--mmap/--no-mmap", help="Map the file into memory, or read all of it.")
]
MlockOption: TypeAlias = Annotated[
    bool | None, typer.Option("--mlock/--no-mlock", help="Never let the weights be swapped out.")
]
RopeScalingOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--rope-scaling", metavar="none|linear|yarn|longrope", help="How to go beyond the trained context."),
]
RopeScaleOption: TypeAlias = Annotated[
    float | None, typer.Option("--rope-scale", min=1.0, max=1024.0, help="How many times the trained context.")
]
RopeFreqBaseOption: TypeAlias = Annotated[float | None, typer.Option("--rope-freq-base", min=0.0, help="RoPE base frequency.")]
RopeOriginalOption: TypeAlias = Annotated[
    int | None, typer.Option("--rope-orig-ctx", min=0, help="The context to scale from; 0 means the trained one.")
]
LoraOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--lora", metavar="PATH[:SCALE]", help="A LoRA adapter for the models. Repeatable.")
]
KeepAliveOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--keep-alive",
        metavar="DURATION",
        help="How long idle models stay in memory: seconds, or 5m, 1h; 0 not at all, -1 for ever.",
    ),
]
MemoryLimitOption: TypeAlias = Annotated[
    float | None,
    typer.Option("--memory-limit", min=0.0, metavar="GIB", help="Memory for all models together; 0: what is free."),
]
MemoryCheckOption: TypeAlias = Annotated[
    bool | None, typer.Option("--memory-check/--no-memory-check", help="Refuse models that would not fit, or try them.")
]
MaxModelsOption: TypeAlias = Annotated[int | None, typer.Option("--max-models", min=1, help="Models in memory at once.")]


def shares(given: str | None) -> tuple[float, ...] | None:
    if given is None:
        return None
    try:
        return tuple(float(share) for share in given.split(","))
    except ValueError:
        raise typer.BadParameter(f"'{given}' is no list of numbers such as 3,1.", param_hint="--tensor-split") from None


def adapters(given: list[str] | None) -> tuple[dict[str, Any], ...] | None:
    """Paths, each with a scale after its last colon if that is a number: Windows has colons in paths too."""
    return tuple(map(_adapter, given)) if given else None


def _adapter(given: str) -> dict[str, Any]:
    path, colon, scale = given.rpartition(":")
    try:
        return {"path": Path(path).absolute(), "scale": float(scale)} if colon else {"path": Path(given).absolute()}
    except ValueError:
        return {"path": Path(given).absolute()}


def kept_alive(given: str | None) -> float | None:
    try:
        return None if given is None else keep_alive_s(given)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--keep-alive") from error


def chosen_template(given: str | None) -> str | None:
    """A file is found from wherever the program is started later."""
    return str(Path(given).absolute()) if given is not None and Path(given).is_file() else given
