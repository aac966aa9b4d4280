"""From settings to how one model is loaded."""

from __future__ import annotations

from pathlib import Path

from app.domain.errors import InvalidRequest, ModelLoadFailed, NotAModel
from app.domain.generation import Effort, Pooling, ReasoningChoice, SamplingChoice
from app.domain.models import Capability, InstalledModel
from app.engine.protocol import EngineConfig, LoraAdapter, RopeScaling
from app.formats import BUILT_IN_TEMPLATES, ChatFormat, template_problem
from app.library.stored_template import read_template
from app.settings import ModelSettings, SamplingSettings, Settings

__all__ = [
    "chat_template",
    "check_context",
    "effective_settings",
    "engine_config",
    "is_pinned",
    "own_system_prompt",
    "reasoning_default",
    "sampling_default",
    "unloaded_format",
]

_MB = 1024 * 1024
_FLASH_ATTENTION = {"auto": None, "on": True, "off": False}


def effective_settings(model_id: str, settings: Settings) -> Settings:
    """The settings that hold for a model: its own where it has some, else the general ones."""
    own = settings.models.get(model_id, ModelSettings())
    given = {name: value for name, value in own if value is not None and name in Settings.model_fields}
    return settings.model_copy(update=given)


def is_pinned(model_id: str, settings: Settings) -> bool:
    """Whether it stays in memory once it is there, however long nobody uses it."""
    return settings.models.get(model_id, ModelSettings()).pinned


def reasoning_default(model_id: str, settings: Settings) -> ReasoningChoice:
    """What is meant for a model where a request does not say."""
    chosen = effective_settings(model_id, settings)
    effort, budget = chosen.reasoning_effort, chosen.reasoning_budget
    return ReasoningChoice(None if effort == "auto" else Effort(effort), budget if budget >= 0 else None)


def sampling_default(model_id: str, settings: Settings) -> SamplingChoice:
    """What a model's settings say of sampling, between what a request asks for and what its file recommends."""
    chosen = settings.models.get(model_id, ModelSettings()).sampling
    return SamplingChoice(**{name: getattr(chosen, name) for name in SamplingSettings.model_fields})


def own_system_prompt(model: InstalledModel, settings: Settings) -> str:
    """What a person set for this very model, else what it comes with; "" if nothing."""
    chosen = settings.models.get(model.id, ModelSettings()).system_prompt
    return model.defaults.system_prompt if chosen is None else chosen


def chat_template(model_id: str, chosen: str) -> str:
    """The source of the chat template that was chosen for a model. Reads the file. Raises ModelLoadFailed."""
    if chosen in BUILT_IN_TEMPLATES:
        return BUILT_IN_TEMPLATES[chosen]
    try:
        source = Path(chosen).read_text("utf-8")
    except (OSError, ValueError) as error:
        names = ", ".join(BUILT_IN_TEMPLATES)
        reason = f"the chat template '{chosen}' chosen for it is neither one of {names} nor a text file that can be read."
        raise ModelLoadFailed(model_id, reason) from error
    if problem := template_problem(source):
        raise ModelLoadFailed(model_id, f"the chat template '{chosen}' chosen for it is broken: {problem}.")
    return source


def unloaded_format(model: InstalledModel, chosen: Settings) -> ChatFormat:
    """How a model would talk that is not in memory. Reads its file. Raises ModelLoadFailed."""
    try:
        stored = read_template(model.path)
    except NotAModel as error:
        raise ModelLoadFailed(model.id, str(error)) from error
    source = chat_template(model.id, chosen.chat_template) if chosen.chat_template else stored.source
    return ChatFormat.of(source, bos_text=stored.bos_text, eos_text=stored.eos_text)


def engine_config(model: InstalledModel, settings: Settings, cache_folder: Path | None = None) -> EngineConfig:
    """Without what depends on the moment: the memory that other models take. Prompts are kept in `cache_folder`."""
    chosen = effective_settings(model.id, settings)
    embedding = model.can(Capability.RERANK) or (model.can(Capability.EMBEDDING) and not model.can(Capability.CHAT))
    return EngineConfig(
        model_path=model.path,
        projector_path=model.projector,
        embedding=embedding,
        pooling=_pooling(model, chosen),
        n_ctx=chosen.n_ctx,
        n_parallel=chosen.n_parallel,
        n_threads=chosen.n_threads,
        n_gpu_layers=None if chosen.gpu_layers == "auto" else chosen.gpu_layers,
        n_batch=chosen.n_batch,
        n_ubatch=chosen.n_ubatch,
        devices=chosen.devices,
        tensor_split=chosen.tensor_split,
        cache_type_k=chosen.cache_type_k,
        cache_type_v=chosen.cache_type_v,
        flash_attention=_FLASH_ATTENTION[chosen.flash_attention],
        use_mmap=chosen.use_mmap,
        use_mlock=chosen.use_mlock,
        rope=RopeScaling(chosen.rope_type, chosen.rope_factor, chosen.rope_freq_base, chosen.rope_original_ctx),
        adapters=() if embedding else _adapters(model, chosen),
        memory_check=chosen.memory_check,
        cache_memory_bytes=settings.prompt_cache_memory_mb * _MB,
        cache_folder=cache_folder,
        cache_disk_bytes=settings.prompt_cache_disk_mb * _MB,
        n_draft=chosen.n_draft,
        draft_path=chosen.draft_model,
    )


def check_context(model: InstalledModel, config: EngineConfig, n_ctx: int) -> None:
    """Raise InvalidRequest if a model can't follow a text as long as that."""
    longest = config.rope.stretched(model.n_ctx_train)
    if longest and n_ctx > longest:
        message = f"A context_length of {n_ctx} is more than {model.id} was made for, which is {longest} tokens."
        raise InvalidRequest(message, param="context_length")


def _adapters(model: InstalledModel, chosen: Settings) -> tuple[LoraAdapter, ...]:
    """Those that belong to it first."""
    own = (LoraAdapter(path, 1.0) for path in model.adapters)
    return (*own, *(LoraAdapter(adapter.path, adapter.scale) for adapter in chosen.adapters))


def _pooling(model: InstalledModel, settings: Settings) -> Pooling | None:
    """None asks the file; not all rerankers say in theirs that they rank."""
    if model.can(Capability.RERANK):
        return Pooling.RANK
    return None if settings.pooling == "auto" else Pooling(settings.pooling)
