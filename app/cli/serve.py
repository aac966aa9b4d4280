"""`hearth serve`: the API without a window."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.access_options import AllowHostOption, AllowOriginOption, ApiKeyOption, FetchImagesOption, RequireKeyOption
from app.cli.engine_options import (
    BatchSizeOption,
    CacheTypeKOption,
    CacheTypeVOption,
    ChatTemplateOption,
    DeviceOption,
    FlashAttentionOption,
    KeepAliveOption,
    LoraOption,
    MaxModelsOption,
    MemoryCheckOption,
    MemoryLimitOption,
    MlockOption,
    MmapOption,
    ReasoningBudgetOption,
    ReasoningEffortOption,
    RopeFreqBaseOption,
    RopeOriginalOption,
    RopeScaleOption,
    RopeScalingOption,
    TensorSplitOption,
    UbatchSizeOption,
    adapters,
    chosen_template,
    kept_alive,
    shares,
)
from app.cli.options import EngineOption, ProfileOption, VerboseOption, is_path
from app.options import EngineMode, Options
from app.service.services import Services

__all__ = ["serve", "serve_until_stopped"]

_POLL_S = 0.2


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Anything but loopback needs an API key.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = None,
    model: Annotated[list[str] | None, typer.Option(metavar="ID|PATH", help="Load this model at once. Repeatable.")] = None,
    parallel: Annotated[int | None, typer.Option(min=1, max=64, help="Requests answered together, per model.")] = None,
    ctx_size: Annotated[int | None, typer.Option(min=0, help="Tokens of context per model; 0 chooses.")] = None,
    threads: Annotated[int | None, typer.Option(min=0, max=512, help="Threads per model; 0 means the physical cores.")] = None,
    gpu_layers: Annotated[str | None, typer.Option(metavar="auto|N", help="Layers to offload to the GPU.")] = None,
    pooling: Annotated[
        str | None, typer.Option(metavar="auto|mean|cls|last", help="How embeddings are pooled; auto asks the model.")
    ] = None,
    draft: Annotated[int | None, typer.Option(min=0, max=8, help="Tokens guessed ahead at once; 0 guesses none.")] = None,
    draft_model: Annotated[
        Path | None, typer.Option(help="A small GGUF of the same family, whose guesses the model checks.")
    ] = None,
    device: DeviceOption = None,
    tensor_split: TensorSplitOption = None,
    cache_type_k: CacheTypeKOption = None,
    cache_type_v: CacheTypeVOption = None,
    flash_attn: FlashAttentionOption = None,
    batch_size: BatchSizeOption = None,
    ubatch_size: UbatchSizeOption = None,
    mmap: MmapOption = None,
    mlock: MlockOption = None,
    rope_scaling: RopeScalingOption = None,
    rope_scale: RopeScaleOption = None,
    rope_freq_base: RopeFreqBaseOption = None,
    rope_orig_ctx: RopeOriginalOption = None,
    lora: LoraOption = None,
    chat_template: ChatTemplateOption = None,
    reasoning_effort: ReasoningEffortOption = None,
    reasoning_budget: ReasoningBudgetOption = None,
    keep_alive: KeepAliveOption = None,
    memory_limit: MemoryLimitOption = None,
    memory_check: MemoryCheckOption = None,
    max_models: MaxModelsOption = None,
    fallback_model: Annotated[
        str | None, typer.Option(metavar="ID", help="The model that answers requests for models that are not installed.")
    ] = None,
    api_key: ApiKeyOption = None,
    require_api_key: RequireKeyOption = None,
    allow_origin: AllowOriginOption = None,
    allow_host: AllowHostOption = None,
    fetch_images: FetchImagesOption = None,
    profile: ProfileOption = None,
    engine: EngineOption = EngineMode.PROCESS,
    verbose: VerboseOption = False,
) -> None:
    """Serve the OpenAI-compatible API until Ctrl-C."""
    given: dict[str, Any] = {
        "host": host,
        "port": port,
        "n_parallel": parallel,
        "n_ctx": ctx_size,
        "n_threads": threads,
        "gpu_layers": _gpu_layers(gpu_layers),
        "n_draft": draft,
        "draft_model": draft_model.absolute() if draft_model is not None else None,
        "pooling": pooling,
        "api_key": api_key,
        "require_api_key": require_api_key,
        "allowed_origins": tuple(allow_origin) if allow_origin else None,
        "allowed_hosts": tuple(allow_host) if allow_host else None,
        "fetch_images": fetch_images,
        "devices": tuple(device) if device else None,
        "tensor_split": shares(tensor_split),
        "cache_type_k": cache_type_k,
        "cache_type_v": cache_type_v,
        "flash_attention": flash_attn,
        "n_batch": batch_size,
        "n_ubatch": ubatch_size,
        "use_mmap": mmap,
        "use_mlock": mlock,
        "rope_type": rope_scaling,
        "rope_factor": rope_scale,
        "rope_freq_base": rope_freq_base,
        "rope_original_ctx": rope_orig_ctx,
        "adapters": adapters(lora),
        "chat_template": chosen_template(chat_template),
        "reasoning_effort": reasoning_effort,
        "reasoning_budget": reasoning_budget,
        "keep_alive_s": kept_alive(keep_alive),
        "memory_limit_gib": memory_limit,
        "memory_check": memory_check,
        "max_loaded_models": max_models,
        "fallback_model": fallback_model,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    options = Options(profile=profile or context.obj, engine=engine, overrides=overrides, verbose=verbose)
    # Who names models and no time wants them to be there.
    serve_until_stopped(options, tuple(model or ()), keep=keep_alive is None)


def serve_until_stopped(options: Options, models: tuple[str, ...] = (), *, keep: bool = False) -> None:
    """Serve, load `models`, say where, and wait for SIGINT or SIGTERM. With `keep`, they stay however long nobody asks."""
    from app.bootstrap import running  # costs a second, which other commands need not pay

    with _stop_signals() as stopped, running(options) as program:
        fallback = str(options.overrides.get("fallback_model", ""))
        starting = program.loop.submit(_start(program.services, models, keep=keep, fallback=fallback))
        # Bare waits would not be interrupted by Ctrl-C on Windows.
        while not stopped.is_set() and not wait((starting,), timeout=_POLL_S).done:
            pass
        if starting.done():
            starting.result()
            print(f"Hearth is listening on {program.services.server.state.address}", flush=True)
        else:
            starting.cancel()
        while not stopped.wait(_POLL_S):
            pass


async def _start(services: Services, models: tuple[str, ...], *, keep: bool, fallback: str) -> None:
    await services.server.start()
    for name in models:
        model_id = (await services.library.open_path(Path(name))).id if is_path(name) else name
        if keep:
            services.models.keep((await services.library.find(model_id)).id)
        await services.models.load(model_id)
    if fallback:
        # Better to hear of a wrong name now than with each request.
        await services.library.find(fallback)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, from the first moment on, so that a stop during start-up is not lost."""
    stopped = threading.Event()
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, lambda *_: stopped.set()) for kind in kinds]
    try:
        yield stopped
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def _gpu_layers(value: str | None) -> str | int | None:
    if value is None or value == "auto":
        return value
    try:
        return int(value)
    except ValueError:
        raise typer.BadParameter(f"'{value}' is neither 'auto' nor a number.", param_hint="--gpu-layers") from None
