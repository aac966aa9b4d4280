"""From a file to an engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from app.domain.errors import ModelLoadFailed, NotEnoughMemory
from app.domain.generation import Pooling
from app.domain.memory import MemoryPlan
from app.engine.config_check import problem_of
from app.engine.constraint import ConstraintCompiler
from app.engine.decoder import MemoryKind
from app.engine.draft_model import DraftModel
from app.engine.draft_need import draft_options, draft_size
from app.engine.drafts import Drafter, NgramDrafter
from app.engine.embedder import Embedder, RerankFormat
from app.engine.embedding import EmbeddingScheduler, LazyEncoder
from app.engine.engine import Engine
from app.engine.host_memory import resident_bytes
from app.engine.llama.adapters import LlamaAdapters
from app.engine.llama.allocations import Allocations, listening, parse
from app.engine.llama.backend import LogTail, binding_version, clean_reason, devices, physical_cores, start_backend
from app.engine.llama.context import LlamaDecoder
from app.engine.llama.encoder import EncoderSize, LlamaEncoder
from app.engine.llama.grammar import make_tokenizer
from app.engine.llama.model import LlamaModel
from app.engine.llama.parameters import ContextOptions, ModelOptions
from app.engine.llama.projector import LlamaProjector
from app.engine.memory_plan import refusal, smaller
from app.engine.planning import (
    SPARE_SEQUENCES,
    ContextRefused,
    MemoryPlanner,
    decoder_size,
    encoder_input,
    encoder_size,
    serves_embeddings,
    trained_ctx,
)
from app.engine.prompt import PromptTokenizer
from app.engine.protocol import EngineConfig, ModelInfo, Surveyed
from app.engine.saved import SavedStates
from app.engine.scheduler import MAX_WAITING, Scheduler
from app.engine.state_files import StateFiles, fingerprint_of

__all__ = ["load_engine", "survey_machine"]

_LOG = logging.getLogger(__name__)
_MAGIC = b"GGUF"
# Cells where nothing could be planned.
_AUTO_CELLS = 8192
# Beside 2,048 cells of others a prompt took a quarter longer to read on a processor, beside 12,000 twice as long.
_PARKED_CELLS_ON_CPU = 256
# The second context of a model that writes.
_TEXT_EMBEDDING_SEQUENCES = 8
_TEXT_INPUT_TOKENS = 2048
_OF_VECTORS = (Pooling.MEAN, Pooling.CLS, Pooling.LAST)
# Shorter inputs, where memory is short in spite of the plan.
_SHORTER_INPUTS = (2048, 512)
_MAX_CELLS = 2**31 - 1
# The projector and the context are small beside the weights.
_WEIGHTS_SHARE = 0.9


class _Loader:
    """The steps of one loading, and how to undo them."""

    def __init__(self, config: EngineConfig, on_progress: Callable[[float], bool], log: LogTail, resources: ExitStack) -> None:
        self._config = config
        self._on_progress = on_progress
        self._log = log
        self._resources = resources
        self._aborted = False
        self._n_threads = config.n_threads or physical_cores()
        self._allocations = Allocations()

    def load(self) -> Engine:
        self._check()
        with closing(MemoryPlanner(self._config, n_threads=self._n_threads)) as planner:
            plan = self._planned(planner)
            # Free what the dry runs hold on a GPU before the real load wants it.
            planner.close()
            try:
                return self._load(plan)
            except NotEnoughMemory:
                self._resources.close()
                again = self._smaller_plan(planner, plan) if plan is not None else None
                if again is None:
                    raise
            _LOG.warning("%s did not fit as planned; trying it smaller", self._config.model_path.name)
            return self._load(again)

    def plan(self) -> MemoryPlan | None:
        """How the model would be loaded, whether it fits or not."""
        self._check()
        with closing(MemoryPlanner(self._config, n_threads=self._n_threads)) as planner:
            return self._plan_of(planner)

    def _load(self, plan: MemoryPlan | None) -> Engine:
        with listening() as heard:
            model = self._model(plan)
            if model.has_encoder or model.is_diffusion:
                raise self._failure(f"models of the kind '{model.architecture}' are not supported yet.")
            if not model.vocabulary.has_tokens:
                raise self._failure("the file has no tokenizer.")
            self._allocations = parse(heard.lines)
        engine = (
            self._embedding_engine(model, plan) if serves_embeddings(self._config, model) else self._text_engine(model, plan)
        )
        self._progress(1.0)
        return engine

    # ------------------------------------------------------------------------------------------------------------ the plan
    def _check(self) -> None:
        paths = (self._config.model_path, self._config.projector_path, *(adapter.path for adapter in self._config.adapters))
        for path in paths:
            if path is not None:
                _check_file(path, self._failure)
        asked = max(self._config.n_ctx, self._config.least_ctx)
        if asked > _MAX_CELLS:
            raise self._failure(f"a context of {asked} tokens is too long.")
        start_backend()
        problem = problem_of(self._config, tuple(device.name for device in devices()))
        if problem is not None:
            raise self._failure(problem)

    def _planned(self, planner: MemoryPlanner) -> MemoryPlan | None:
        """Raises NotEnoughMemory for a plan that does not fit, unless that is not to be checked."""
        plan, wish = self._plan_of(planner), planner.wish
        if plan is not None and wish is not None and not plan.fits:
            reason = refusal(plan, wish, planner.measure)
            if self._config.memory_check:
                raise NotEnoughMemory(self._config.model_path.name, reason, log_tail=self._log.tail, plan=plan)
            _LOG.warning("%s is loaded though %s", self._config.model_path.name, reason)
        return plan

    def _plan_of(self, planner: MemoryPlanner) -> MemoryPlan | None:
        try:
            return planner.plan()
        except ContextRefused as error:
            if not str(error):
                return None
            raise self._failure(f"llama.cpp can't make its context: {error}.") from error

    def _smaller_plan(self, planner: MemoryPlanner, plan: MemoryPlan) -> MemoryPlan | None:
        wish = planner.wish
        less = smaller(plan, wish) if wish is not None else None
        again = planner.measure(*less) if less is not None else None
        planner.close()
        return again

    # -------------------------------------------------------------------------------------------------------- the parts
    def _model(self, plan: MemoryPlan | None) -> LlamaModel:
        model = LlamaModel.load(
            self._config.model_path,
            n_gpu_layers=plan.n_gpu_layers if plan is not None else self._config.n_gpu_layers or 0,
            on_progress=self._weights_progress,
            options=ModelOptions.of(self._config),
        )
        if model is None:
            if self._aborted:
                raise self._failure("loading was stopped.")
            # The dry run could read it, so what is missing now is memory.
            kind = ModelLoadFailed if plan is None else NotEnoughMemory
            raise self._failure(self._native_reason("the file can't be read as a model."), kind)
        self._resources.callback(model.close)
        return model

    def _projector(self, model: LlamaModel) -> LlamaProjector | None:
        path = self._config.projector_path
        if path is None:
            return None
        projector = LlamaProjector.load(path, model, n_threads=self._n_threads, use_gpu=model.n_gpu_layers > 0)
        if projector is None:
            raise self._failure(self._native_reason(f"the projector {path.name} does not belong to this model."))
        self._resources.callback(projector.close)
        return projector

    def _text_engine(self, model: LlamaModel, plan: MemoryPlan | None) -> Engine:
        projector = self._projector(model)
        decoder = self._decoder(
            model, projector, plan.n_ctx if plan is not None else self._config.n_ctx or max(_AUTO_CELLS, self._config.least_ctx)
        )
        limit = min(decoder.n_cells, trained_ctx(self._config, model))
        vocabulary = model.vocabulary
        files = self._state_files(decoder)
        info = self._info(model, plan, n_ctx=limit, projector=projector, embedding=False)
        constraints = ConstraintCompiler(vocabulary, partial(make_tokenizer, vocabulary))
        self._resources.callback(constraints.close)
        prompts = PromptTokenizer(vocabulary, projector, model_name=info.name)
        engine = Engine(
            info,
            vocabulary=vocabulary,
            prompts=prompts,
            constraints=constraints,
            scheduler=self._scheduler(model, decoder, files),
            embedder=self._text_embedder(model, prompts, limit=limit),
            limit=limit,
            files=files,
            resources=self._resources.pop_all(),
        )
        constraints.start(lambda: not engine.busy)
        return engine

    def _scheduler(self, model: LlamaModel, decoder: LlamaDecoder, files: StateFiles | None) -> Scheduler:
        config = self._config
        return Scheduler(
            decoder,
            model.vocabulary,
            n_parallel=max(1, min(config.n_parallel, decoder.n_sequences - SPARE_SEQUENCES)),
            saved=SavedStates(config.cache_memory_bytes, on_let_go=files.write if files is not None else None),
            files=files,
            drafter=self._drafter(model) if config.n_draft > 0 else None,
            n_draft=config.n_draft,
            max_parked_cells=None if model.n_gpu_layers > 0 else _PARKED_CELLS_ON_CPU,
        )

    def _state_files(self, decoder: LlamaDecoder) -> StateFiles | None:
        """Where prompts of conversations are kept, told apart by all that shapes their bytes."""
        config = self._config
        if config.cache_folder is None or config.cache_disk_bytes <= 0:
            return None
        adapters = tuple(adapter.path for adapter in config.adapters)
        files = tuple(path for path in (config.model_path, config.projector_path, *adapters) if path is not None)
        scales = [adapter.scale for adapter in config.adapters]
        shape = (decoder.settings, config.cache_type_k, config.cache_type_v, config.flash_attention, config.rope, scales)
        fingerprint = fingerprint_of(files, llama_cpp=binding_version(), context=shape)
        return StateFiles(config.cache_folder, fingerprint, budget_bytes=config.cache_disk_bytes)

    def _drafter(self, model: LlamaModel) -> Drafter:
        path = self._config.draft_path
        if path is None:
            return NgramDrafter()
        _check_file(path, self._failure)
        options = draft_options(self._config)
        draft = LlamaModel.load(path, n_gpu_layers=model.n_gpu_layers, on_progress=lambda _fraction: True, options=options)
        if draft is None:
            raise self._failure(self._native_reason(f"the draft model {path.name} can't be read."))
        self._resources.callback(draft.close)
        if not draft.vocabulary.begins_like(model.vocabulary):
            hint = "Choose one of the same family, or set it for the models alone that it fits."
            raise self._failure(f"the draft model {path.name} has another vocabulary. {hint}")
        decoder = LlamaDecoder.open(draft, draft_size(self._config, draft, n_threads=self._n_threads))
        if decoder is None:
            raise self._failure(self._native_reason("there is not enough memory for the draft model."))
        self._resources.callback(decoder.close)
        if decoder.memory is not MemoryKind.PLAIN:
            raise self._failure(f"the draft model {path.name} can't take tokens back; choose one with plain attention.")
        return DraftModel(decoder, n_vocab=model.vocabulary.n_tokens)

    def _decoder(self, model: LlamaModel, projector: LlamaProjector | None, n_ctx: int) -> LlamaDecoder:
        adapters = self._adapters(model)
        whole_pictures = projector is not None and projector.non_causal
        size = decoder_size(self._config, model, n_ctx, n_threads=self._n_threads, whole_pictures=whole_pictures)
        decoder = LlamaDecoder.open(model, size, projector)
        if decoder is None:
            why = self._native_reason("no reason given").rstrip(".")
            raise self._failure(
                f"a context of {n_ctx} tokens could not be made ({why}). Choose a shorter one.", NotEnoughMemory
            )
        self._resources.callback(decoder.close)
        decoder.use_adapters(adapters)
        return decoder

    def _adapters(self, model: LlamaModel) -> LlamaAdapters:
        """Before the context: it makes room for what they compute."""
        adapters = LlamaAdapters(model)
        self._resources.callback(adapters.close)
        for adapter in self._config.adapters:
            if not adapters.add(adapter.path, adapter.scale):
                why = self._native_reason("it was made for another model.")
                raise self._failure(f"the adapter {adapter.path.name} can't be applied: {why}")
        return adapters

    def _embedding_engine(self, model: LlamaModel, plan: MemoryPlan | None) -> Engine:
        if self._config.adapters:
            raise self._failure("adapters can't be applied to an embedding model.")
        pooling = self._config.pooling or model.pooling
        if pooling is Pooling.NONE:
            raise self._failure("its file asks for a vector per token, which no answer has a place for. Choose a pooling.")
        encoder, limit = self._encoder(model, pooling, plan)
        ranks = encoder.pooling is Pooling.RANK
        info = self._info(model, plan, n_ctx=limit, projector=None, embedding=True, reranking=ranks)
        vocabulary = model.vocabulary
        prompts = PromptTokenizer(vocabulary, None, model_name=info.name)
        return Engine(
            info,
            vocabulary=vocabulary,
            prompts=prompts,
            constraints=ConstraintCompiler(vocabulary, partial(make_tokenizer, vocabulary)),
            scheduler=None,
            embedder=Embedder(
                EmbeddingScheduler(encoder),
                vocabulary=vocabulary,
                prompts=prompts,
                limit=limit,
                model_name=info.name,
                rerank_format=RerankFormat(model.rerank_template, *vocabulary.pair_marks) if ranks else None,
            ),
            limit=limit,
            resources=self._resources.pop_all(),
        )

    def _encoder(self, model: LlamaModel, pooling: Pooling | None, plan: MemoryPlan | None) -> tuple[LlamaEncoder, int]:
        """With the longest input it reads: what was planned, and less if memory is short all the same."""
        longest = plan.n_ctx if plan is not None else encoder_input(self._config, model, pooling)
        shorter = () if self._config.n_ctx else (n for n in _SHORTER_INPUTS if self._config.least_ctx <= n < longest)
        for limit in (longest, *shorter):
            size = encoder_size(self._config, limit, n_threads=self._n_threads)
            encoder = LlamaEncoder.open(model, size, n_ubatch=self._config.n_ubatch, pooling=pooling)
            if encoder is not None:
                self._resources.callback(encoder.close)
                return encoder, limit
        raise self._failure(self._native_reason("there is not enough memory for its embeddings."), NotEnoughMemory)

    def _text_embedder(self, model: LlamaModel, prompts: PromptTokenizer, *, limit: int) -> Embedder:
        """Vectors of a model that writes: from a second context on the same weights, which the first job opens.

        It costs the memory of `_TEXT_INPUT_TOKENS` cells (0.25 GB on an 8B model), and an answer that is being written waits
        for each of its batches.
        """
        pooling = self._config.pooling or (model.pooling if model.pooling in _OF_VECTORS else Pooling.LAST)
        limit = min(limit, _TEXT_INPUT_TOKENS)
        n_packed = min(limit, self._config.n_ubatch)
        options = ContextOptions.of(self._config)
        size = EncoderSize(limit, n_packed, _TEXT_EMBEDDING_SEQUENCES, self._n_threads, options)

        def open_encoder() -> LlamaEncoder | None:
            return LlamaEncoder.open(model, size, n_ubatch=self._config.n_ubatch, pooling=pooling)

        encoder = LazyEncoder(open_encoder, n_tokens_packed=n_packed, n_sequences=_TEXT_EMBEDDING_SEQUENCES)
        self._resources.callback(encoder.close)
        return Embedder(
            EmbeddingScheduler(encoder), vocabulary=model.vocabulary, prompts=prompts, limit=limit, model_name=model.name
        )

    def _info(
        self,
        model: LlamaModel,
        plan: MemoryPlan | None,
        *,
        n_ctx: int,
        projector: LlamaProjector | None,
        embedding: bool,
        reranking: bool = False,
    ) -> ModelInfo:
        vocabulary = model.vocabulary
        return ModelInfo(
            name=model.name or self._config.model_path.stem,
            n_ctx=n_ctx,
            n_ctx_train=model.n_ctx_train,
            n_vocab=vocabulary.n_tokens,
            n_embd=model.n_embd,
            n_params=model.n_params,
            size_bytes=model.size_bytes,
            chat_template=model.chat_template,
            bos_text=vocabulary.special_text("bos"),
            eos_text=vocabulary.special_text("eos"),
            eot_text=vocabulary.special_text("eot"),
            adds_bos=vocabulary.adds_bos,
            sees_pictures=projector is not None and projector.sees_pictures,
            hears=projector is not None and projector.hears,
            embedding=embedding,
            reranking=reranking,
            n_gpu_layers=model.n_gpu_layers,
            fim_prefix=vocabulary.special_text("fim_pre"),
            fim_suffix=vocabulary.special_text("fim_suf"),
            fim_middle=vocabulary.special_text("fim_mid"),
            sampling=model.sampling,
            devices=self._device_names(plan),
            memory=plan,
            resident_bytes=resident_bytes(),
            mapped_bytes=self._mapped_bytes(model),
            most_jobs=0 if embedding else self._config.n_parallel + MAX_WAITING,
        )

    def _device_names(self, plan: MemoryPlan | None) -> tuple[str, ...]:
        used = {need.device for need in plan.needs} if plan is not None else set()
        return tuple(device.description or device.name for device in devices() if device.name in used or plan is None)

    def _mapped_bytes(self, model: LlamaModel) -> int:
        """Weights that are read from the mapped file as they are: not those on a GPU, nor those a copy was made of."""
        copied = sum(size for name, size in self._allocations.of("model").items() if not name.startswith("CPU_Mapped"))
        return max(0, model.size_bytes - copied) if self._allocations.is_mapped else 0

    # --------------------------------------------------------------------------------------------- progress and failure
    def _weights_progress(self, fraction: float) -> bool:
        return self._progress(fraction * _WEIGHTS_SHARE)

    def _progress(self, fraction: float) -> bool:
        self._aborted = self._aborted or not self._on_progress(fraction)
        return not self._aborted

    def _native_reason(self, otherwise: str) -> str:
        """What llama.cpp said first of its errors, or a sentence of ours."""
        errors = [clean_reason(line) for line in self._log.errors]
        return next((f"{error}." for error in errors if error), otherwise)

    def _failure(self, reason: str, kind: type[ModelLoadFailed] = ModelLoadFailed) -> ModelLoadFailed:
        return kind(self._config.model_path.name, reason, log_tail=self._log.tail)


def load_engine(config: EngineConfig, *, on_progress: Callable[[float], bool]) -> Engine:
    """Load a model and everything it needs. `on_progress` gets 0 … 1 and stops the loading by returning False.

    On the engine thread. Raises ModelLoadFailed; then nothing stays loaded.
    """
    log = LogTail().open()
    try:
        with ExitStack() as resources:
            return _Loader(config, on_progress, log, resources).load()
    finally:
        log.close()


def survey_machine(config: EngineConfig | None) -> Surveyed:
    """The devices, and how `config` would be loaded now, whether it fits or not. Raises ModelLoadFailed."""
    start_backend()
    if config is None:
        return Surveyed(devices())
    log = LogTail().open()
    try:
        with ExitStack() as resources:
            return Surveyed(devices(), _Loader(config, lambda _fraction: True, log, resources).plan())
    finally:
        log.close()


def _check_file(path: Path, failure: Callable[[str], ModelLoadFailed]) -> None:
    """What can be said of a file without llama.cpp."""
    if not path.is_file():
        raise failure(f"the file {path} does not exist." if not path.exists() else f"{path} is not a file.")
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise failure(f"the file {path} can't be opened: {error.strerror}.") from error
    if magic != _MAGIC:
        raise failure(f"{path.name} is not a GGUF file.")
