"""Embedding and reranking on a loaded model: from a job's texts to tokens that fit, and on to their batches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.domain.errors import AppError, ContextOverflow, InvalidRequest, UnsupportedContent
from app.domain.generation import Truncation
from app.domain.prompt import ControlText, PlainText, PromptSegment, TokenIds
from app.engine.decoder import Vocabulary
from app.engine.embedding import EmbeddingScheduler, PreparedEmbedding
from app.engine.prompt import PromptTokenizer
from app.engine.protocol import EmbedJob, JobEvent, RerankJob

__all__ = ["Embedder", "RerankFormat"]

_Ids = tuple[int, ...]
_PLACES = re.compile(r"(\{query\}|\{document\})")


@dataclass(frozen=True, slots=True)
class RerankFormat:
    """How a reranker wants to read a query and a document: by its template, with `{query}` and `{document}` in it, or as two
    texts with marks of their own around them."""

    template: str | None = None
    before: _Ids = ()
    between: _Ids = ()
    after: _Ids = ()


class Embedder:
    """Two threads may use it: one calls `prepare`, the other everything else.

    `limit` is the longest input in tokens. With a `rerank_format` the model ranks, and makes no vectors.
    """

    def __init__(
        self,
        scheduler: EmbeddingScheduler,
        *,
        vocabulary: Vocabulary,
        prompts: PromptTokenizer,
        limit: int,
        model_name: str,
        rerank_format: RerankFormat | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._vocabulary = vocabulary
        self._prompts = prompts
        self._limit = limit
        self._model_name = model_name
        self._format = rerank_format

    # ------------------------------------------------------------------------------------------------ preparing thread
    def prepare(self, job: EmbedJob | RerankJob) -> PreparedEmbedding:
        """Raises RequestError kinds, naming the input."""
        match job:
            case EmbedJob():
                return self._embedding(job)
            case RerankJob():
                return self._reranking(job)

    def _embedding(self, job: EmbedJob) -> PreparedEmbedding:
        if self._format is not None:
            raise UnsupportedContent(f"{self._model_name} ranks documents; it makes no embeddings.", param="model")
        alone = len(job.inputs) == 1
        inputs = tuple(
            self._input(text, job.truncation, "input" if alone else f"input[{index}]") for index, text in enumerate(job.inputs)
        )
        return PreparedEmbedding(job.id, inputs)

    def _input(self, text: str | _Ids, truncation: Truncation, param: str) -> _Ids:
        before, ids, after = self._marked(text) if isinstance(text, str) else ((), self._checked(text, param), ())
        if not before + ids + after:
            raise InvalidRequest("An input is empty.", param=param)
        return before + self._cut(ids, len(before) + len(after), truncation, param) + after

    def _marked(self, text: str) -> tuple[_Ids, _Ids, _Ids]:
        """A text's tokens with the model's own marks around them, which a cut leaves in place."""
        whole = tuple(self._vocabulary.tokenize(text, parse_special=False, add_special=True))
        plain = tuple(self._vocabulary.tokenize(text, parse_special=False))
        for start in range(len(whole) - len(plain) + 1):
            end = start + len(plain)
            if whole[start:end] == plain:
                return whole[:start], plain, whole[end:]
        return (), whole, ()

    def _cut(self, ids: _Ids, n_others: int, truncation: Truncation, param: str, *, others: str | None = None) -> _Ids:
        """What of `ids` fits beside `n_others` tokens. `others` is the field they come from, if a client chose it."""
        room = self._limit - n_others
        if len(ids) <= room:
            return ids
        if room < 1:
            raise ContextOverflow(n_prompt=len(ids) + n_others, n_ctx=self._limit, param=others or param)
        match truncation:
            case Truncation.NONE:
                raise ContextOverflow(n_prompt=len(ids) + n_others, n_ctx=self._limit, param=param)
            case Truncation.END:
                return ids[:room]
            case Truncation.START:
                return ids[-room:]

    def _checked(self, ids: _Ids, param: str) -> _Ids:
        last = self._vocabulary.n_tokens - 1
        for token in ids:
            if not 0 <= token <= last:
                raise InvalidRequest(f"{token} is not a token of this model; its ids go from 0 to {last}.", param=param)
        return ids

    def _reranking(self, job: RerankJob) -> PreparedEmbedding:
        if self._format is None:
            raise UnsupportedContent(f"{self._model_name} can't rank documents. Choose a reranker.", param="model")
        pair = self._by_template if self._format.template is not None else self._by_marks
        inputs = tuple(
            pair(self._format, job.query, document, job.truncation, f"documents[{index}]")
            for index, document in enumerate(job.documents)
        )
        return PreparedEmbedding(job.id, inputs, ranks=True)

    def _by_marks(self, marks: RerankFormat, query: str, document: str, truncation: Truncation, param: str) -> _Ids:
        head = marks.before + self._text(query) + marks.between
        others = len(head) + len(marks.after)
        return head + self._cut(self._text(document), others, truncation, param, others="query") + marks.after

    def _by_template(self, marks: RerankFormat, query: str, document: str, truncation: Truncation, param: str) -> _Ids:
        whole = self._filled(marks, query, PlainText(document))
        if len(whole) <= self._limit:
            return whole
        # Cut by tokens: the document's own then stand apart from those of the text around it.
        others = len(self._filled(marks, query, TokenIds(())))
        return self._filled(marks, query, TokenIds(self._cut(self._text(document), others, truncation, param, others="query")))

    def _filled(self, marks: RerankFormat, query: str, document: PromptSegment) -> _Ids:
        """The template with its places filled. A client's texts are tokenized as text, whatever they spell."""
        places: dict[str, PromptSegment] = {"{query}": PlainText(query), "{document}": document}
        parts = (places.get(part, ControlText(part)) for part in _PLACES.split(marks.template or ""))
        return tuple(self._prompts.tokenize(parts, add_special=False).ids.tolist())

    def _text(self, text: str) -> _Ids:
        return tuple(self._vocabulary.tokenize(text, parse_special=False))

    def interrupt(self, job: str) -> None:
        """Cut a job's long computation short if it runs alone. Any thread; `cancel` still has to follow."""
        self._scheduler.interrupt(job)

    # --------------------------------------------------------------------------------------------------- engine thread
    @property
    def busy(self) -> bool:
        return self._scheduler.busy

    def submit(self, prepared: PreparedEmbedding) -> None:
        """Raises EngineBusy."""
        self._scheduler.submit(prepared)

    def cancel(self, job: str) -> None:
        self._scheduler.cancel(job)

    def step(self) -> Iterable[JobEvent]:
        return self._scheduler.step()

    def fail_all(self, error: AppError) -> Iterable[JobEvent]:
        return self._scheduler.fail_all(error)

    def close(self) -> None:
        self._scheduler.close()
