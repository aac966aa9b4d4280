"""From a file to an engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from app.domain.errors import ModelLoadFailed
from app.engine.constraint import ConstraintCompiler
from app.engine.decoder import MemoryKind
from app.engine.draft_model import DraftModel
from app.engine.drafts import Drafter, NgramDrafter
from app.engine.embedding import EmbeddingScheduler
from app.engine.engine import Engine
from app.engine.llama.backend import LogTail, binding_version, clean_reason, devices, physical_cores, start_backend
from app.engine.llama.context import ContextSize, LlamaDecoder, LlamaEncoder
from app.engine.llama.grammar import make_tokenizer
from app.engine.llama.model import LlamaModel
from app.engine.llama.projector import LlamaProjector
from app.engine.plan import MAX_DRAFT_ROWS
from app.engine.prompt import PromptTokenizer
from app.engine.protocol import EngineConfig, ModelInfo
from app.engine.saved import SavedStates
from app.engine.scheduler import Scheduler
from app.engine.state_files import StateFiles, fingerprint_of

__all__ = ["load_engine"]

_LOG = logging.getLogger(__name__)
_MAGIC = b"GGUF"
# Cells where nobody asked for a number: a long conversation, at a cost of about 1 GB on an 8B model.
_AUTO_CELLS = 8192
_MAX_INPUT_TOKENS = 8192
_MIN_CELLS = 512
# Sequences kept for prompts to come. Only plain memories can hold them at no cost.
_PARKED = 24
# Beside the requests that are answered together: one for a preferred request, and one parked.
_SPARE = 2
_EMBEDDING_SEQUENCES = 64
# llama.cpp's own limit.
_MAX_SEQUENCES = 256
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

    def load(self) -> Engine:
        _check_file(self._config.model_path, self._failure)
        if self._config.projector_path is not None:
            _check_file(self._config.projector_path, self._failure)
        start_backend()
        *tries, last = self._layer_choices()
        for n_gpu_layers in tries:
            try:
                return self._load(n_gpu_layers)
            except ModelLoadFailed:
                if self._aborted:
                    raise
                self._resources.close()
        return self._load(last)

    def _load(self, n_gpu_layers: int) -> Engine:
        model = self._model(n_gpu_layers)
        if model.has_encoder or model.is_diffusion:
            raise self._failure(f"models of the kind '{model.architecture}' are not supported yet.")
        if not model.vocabulary.has_tokens:
            raise self._failure("the file has no tokenizer.")
        engine = self._embedding_engine(model) if self._config.embedding or not model.is_causal else self._text_engine(model)
        self._progress(1.0)
        return engine

    # -------------------------------------------------------------------------------------------------------- the parts
    def _model(self, n_gpu_layers: int) -> LlamaModel:
        model = LlamaModel.load(self._config.model_path, n_gpu_layers=n_gpu_layers, on_progress=self._weights_progress)
        if model is None:
            stopped = "loading was stopped." if self._aborted else None
            raise self._failure(stopped or self._native_reason("the file can't be read as a model."))
        self._resources.callback(model.close)
        return model

    def _layer_choices(self) -> list[int]:
        """All layers on the GPU, then fewer, then none, unless a number was asked for."""
        if self._config.n_gpu_layers is not None:
            return [self._config.n_gpu_layers]
        return [-1, 20, 10, 0] if start_backend().llama_supports_gpu_offload() else [0]

    def _projector(self, model: LlamaModel) -> LlamaProjector | None:
        path = self._config.projector_path
        if path is None:
            return None
        projector = LlamaProjector.load(path, model, n_threads=self._n_threads, use_gpu=model.n_gpu_layers > 0)
        if projector is None:
            raise self._failure(self._native_reason(f"the projector {path.name} does not belong to this model."))
        self._resources.callback(projector.close)
        return projector

    def _text_engine(self, model: LlamaModel) -> Engine:
        projector = self._projector(model)
        decoder = self._decoder(model, projector)
        limit = min(decoder.n_cells, model.n_ctx_train or decoder.n_cells)
        vocabulary = model.vocabulary
        files = self._state_files(decoder)
        info = self._info(model, n_ctx=limit, projector=projector, embedding=False)
        constraints = ConstraintCompiler(vocabulary, partial(make_tokenizer, vocabulary))
        self._resources.callback(constraints.close)
        engine = Engine(
            info,
            vocabulary=vocabulary,
            prompts=PromptTokenizer(vocabulary, projector, model_name=info.name),
            constraints=constraints,
            scheduler=self._scheduler(model, decoder, files),
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
            n_parallel=max(1, min(config.n_parallel, decoder.n_sequences - _SPARE)),
            saved=SavedStates(config.cache_memory_bytes, on_let_go=files.write if files is not None else None),
            files=files,
            drafter=self._drafter(model) if config.n_draft > 0 else None,
            n_draft=config.n_draft,
        )

    def _state_files(self, decoder: LlamaDecoder) -> StateFiles | None:
        """Where prompts of conversations are kept, told apart by all that shapes their bytes."""
        config = self._config
        if config.cache_folder is None or config.cache_disk_bytes <= 0:
            return None
        files = tuple(path for path in (config.model_path, config.projector_path) if path is not None)
        fingerprint = fingerprint_of(files, llama_cpp=binding_version(), context=decoder.settings)
        return StateFiles(config.cache_folder, fingerprint, budget_bytes=config.cache_disk_bytes)

    def _drafter(self, model: LlamaModel) -> Drafter:
        path = self._config.draft_path
        if path is None:
            return NgramDrafter()
        _check_file(path, self._failure)
        draft = LlamaModel.load(path, n_gpu_layers=model.n_gpu_layers, on_progress=lambda _fraction: True)
        if draft is None:
            raise self._failure(self._native_reason(f"the draft model {path.name} can't be read."))
        self._resources.callback(draft.close)
        if not draft.vocabulary.begins_like(model.vocabulary):
            raise self._failure(f"the draft model {path.name} has another vocabulary; choose one of the same family.")
        n_parallel = self._config.n_parallel + 1
        n_batch = max(self._config.n_batch, n_parallel)
        n_ctx = min(draft.n_ctx_train or _AUTO_CELLS, _AUTO_CELLS) * min(n_parallel, 2)
        size = ContextSize(n_ctx, n_batch, min(self._config.n_ubatch, n_batch), n_parallel, self._n_threads, n_parallel)
        decoder = LlamaDecoder.open(draft, size)
        if decoder is None:
            raise self._failure(self._native_reason("there is not enough memory for the draft model."))
        self._resources.callback(decoder.close)
        if decoder.memory is not MemoryKind.PLAIN:
            raise self._failure(f"the draft model {path.name} can't take tokens back; choose one with plain attention.")
        return DraftModel(decoder, n_vocab=model.vocabulary.n_tokens)

    def _decoder(self, model: LlamaModel, projector: LlamaProjector | None) -> LlamaDecoder:
        plain = not model.is_recurrent and not model.n_window
        n_parallel = max(1, min(self._config.n_parallel, _MAX_SEQUENCES - _SPARE))
        n_sequences = min(n_parallel + (_PARKED if plain else _SPARE), _MAX_SEQUENCES)
        n_batch = max(self._config.n_batch, n_parallel)
        n_ubatch = min(self._config.n_ubatch, n_batch)
        if projector is not None and projector.non_causal:
            # Such a model looks at a whole picture at once, and llama.cpp ends the process if it does not fit.
            n_ubatch = n_batch
        n_outputs = max(n_sequences, n_parallel + 1 + MAX_DRAFT_ROWS)
        for n_ctx in self._cell_choices(model):
            size = ContextSize(n_ctx, n_batch, n_ubatch, n_sequences, self._n_threads, n_outputs)
            decoder = LlamaDecoder.open(model, size, projector)
            if decoder is not None:
                self._resources.callback(decoder.close)
                return decoder
        why = self._native_reason("no reason given").rstrip(".")
        raise self._failure(f"a context of {n_ctx} tokens could not be made ({why}). Choose a shorter one.")

    def _cell_choices(self, model: LlamaModel) -> list[int]:
        """How many cells to try: the number asked for, or enough for a long conversation and less if memory is short."""
        if self._config.n_ctx > _MAX_CELLS:
            raise self._failure(f"a context of {self._config.n_ctx} tokens is too long.")
        if self._config.n_ctx > 0:
            return [self._config.n_ctx]
        trained = model.n_ctx_train or _AUTO_CELLS
        cells = min(_AUTO_CELLS, trained * self._config.n_parallel)
        return [cells, *(n for n in (4096, 2048, _MIN_CELLS) if n < cells)]

    def _embedding_engine(self, model: LlamaModel) -> Engine:
        trained = model.n_ctx_train or _MIN_CELLS
        limit = min(trained, self._config.n_ctx or _MAX_INPUT_TOKENS)
        # A whole input must fit into one physical batch, with room to pack short ones together.
        n_batch = max(limit, self._config.n_batch)
        size = ContextSize(n_batch, n_batch, n_batch, _EMBEDDING_SEQUENCES, self._n_threads, n_outputs=n_batch)
        encoder = LlamaEncoder.open(model, size)
        if encoder is None:
            raise self._failure(self._native_reason("it makes no embeddings, or there is not enough memory for them."))
        self._resources.callback(encoder.close)
        info = self._info(model, n_ctx=limit, projector=None, embedding=True)
        vocabulary = model.vocabulary
        return Engine(
            info,
            vocabulary=vocabulary,
            prompts=PromptTokenizer(vocabulary, None, model_name=info.name),
            constraints=ConstraintCompiler(vocabulary, partial(make_tokenizer, vocabulary)),
            scheduler=EmbeddingScheduler(encoder),
            limit=limit,
            resources=self._resources.pop_all(),
        )

    def _info(self, model: LlamaModel, *, n_ctx: int, projector: LlamaProjector | None, embedding: bool) -> ModelInfo:
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
            n_gpu_layers=model.n_gpu_layers,
            fim_prefix=vocabulary.special_text("fim_pre"),
            fim_suffix=vocabulary.special_text("fim_suf"),
            fim_middle=vocabulary.special_text("fim_mid"),
            sampling=model.sampling,
            devices=tuple(device.description or device.name for device in devices()),
        )

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

    def _failure(self, reason: str) -> ModelLoadFailed:
        return ModelLoadFailed(self._config.model_path.name, reason, log_tail=self._log.tail)


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
