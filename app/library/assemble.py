"""Joining files into models: the shards of one model, and the projector and the draft model that belong to it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from app.domain.models import Capability, InstalledModel, MissingPart, ModelSource
from app.library.drafts import best_draft, is_draft_by_name
from app.library.gguf import GgufHeader, GgufKind
from app.library.headers import GgufFile
from app.library.names import quantization_in, shard_of
from app.library.projectors import best_projector

__all__ = ["Assembled", "assemble"]

# A name may claim any number.
_MOST_SHARDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Assembled:
    """One model: its shards in order, its projector and its draft model. `stem` is its name without a shard number."""

    stem: str
    shards: tuple[GgufFile, ...]
    projector: GgufFile | None
    problem: str | None
    draft: GgufFile | None = None

    @property
    def files(self) -> tuple[GgufFile, ...]:
        return (*self.shards, *(part for part in (self.projector, self.draft) if part is not None))

    @property
    def missing_shards(self) -> tuple[str, ...]:
        """The names of those that are not there."""
        shard = shard_of(self.shards[0].path.stem)
        if shard is None:
            return ()
        numbers = _numbers(self.shards)
        return tuple(
            f"{shard.stem}-{number:05d}-of-{shard.count:05d}.gguf"
            for number in range(1, min(shard.count, _MOST_SHARDS) + 1)
            if number not in numbers
        )

    def model(
        self,
        model_id: str,
        source: ModelSource,
        *,
        repository: str = "",
        missing: tuple[MissingPart, ...] = (),
    ) -> InstalledModel:
        first = self.shards[0]
        header = first.header
        return InstalledModel(
            id=model_id,
            name=header.name if header and len(header.name.strip()) > 2 else self.stem,
            path=first.path,
            projector=self.projector.path if self.projector else None,
            files=tuple(file.path for file in self.files),
            size_bytes=sum(file.size_bytes for file in self.files),
            architecture=header.architecture if header else "",
            quantization=_quantization(self.stem, header),
            parameters=sum(file.header.parameters for file in self.shards if file.header),
            n_ctx_train=header.n_ctx_train if header else 0,
            capabilities=_capabilities(header, self.projector.header if self.projector else None),
            source=source,
            modified=datetime.fromtimestamp(max(file.modified for file in self.shards), tz=UTC),
            license=header.license if header else "",
            description=header.description if header else "",
            problem=self.problem,
            draft=self.draft.path if self.draft else None,
            missing=missing,
            repository=repository,
        )


def assemble(
    files: Iterable[GgufFile], *, top: Path | None = None, more_projectors: Iterable[GgufFile] = ()
) -> list[Assembled]:
    """Every model among `files`. A projector or a draft model lies beside its model, or in a folder above it up to `top`; a
    projector may also be one of `more_projectors`, which a person named, wherever those are."""
    projectors: defaultdict[Path, list[GgufFile]] = defaultdict(list)
    drafts: defaultdict[Path, list[GgufFile]] = defaultdict(list)
    groups: defaultdict[tuple[Path, str, int], list[GgufFile]] = defaultdict(list)
    for file in files:
        kind = file.header.kind if file.header else GgufKind.MODEL
        if kind is GgufKind.PROJECTOR and file.problem is None:
            projectors[file.path.parent].append(file)
        elif kind is GgufKind.DRAFT or (kind is GgufKind.MODEL and is_draft_by_name(file.path)):
            drafts[file.path.parent].append(file)
            if kind is GgufKind.MODEL:
                groups[_group(file)].append(file)
        elif kind not in (GgufKind.ADAPTER, GgufKind.OTHER):
            groups[_group(file)].append(file)
    elsewhere = [file for file in more_projectors if file.header and file.header.kind is GgufKind.PROJECTOR]
    models = []
    for (folder, stem, count), group in groups.items():
        shards = tuple(sorted(group, key=lambda file: file.path.name))
        near = tuple(_upwards(folder, top)) if projectors or drafts else (folder,)
        beside = [projectors.get(place, []) for place in near]
        # One that a person named goes before its neighbours.
        named = [file for file in beside[0] if any(file.path == other.path for other in elsewhere)]
        choices = (named, *beside, elsewhere)
        projector = next((best for choice in choices if (best := best_projector(shards[0], choice))), None)
        draft = next((best for place in near if (best := best_draft(shards[0], drafts.get(place, ())))), None)
        models.append(Assembled(stem, shards, projector, _problem(shards, count), draft))
    taken = {model.draft.path for model in models if model.draft is not None}
    return [model for model in models if model.shards[0].path not in taken]


def _group(file: GgufFile) -> tuple[Path, str, int]:
    """The same for all shards of one model, known by their names: llama.cpp finds them by name alone."""
    shard = shard_of(file.path.stem)
    if shard is None:
        return (file.path.parent, file.path.stem, 0)
    return (file.path.parent, shard.stem, shard.count)


def _upwards(folder: Path, top: Path | None) -> Iterator[Path]:
    """`folder`, and the folders above it up to `top`."""
    yield folder
    if top is not None and top in folder.parents:
        yield from folder.parents[: folder.parents.index(top) + 1]


def _problem(shards: Sequence[GgufFile], count: int) -> str | None:
    for file in shards:
        if file.problem is not None:
            return file.problem if len(shards) == 1 else f"{file.path.name}: {file.problem}"
    headers = [file.header for file in shards if file.header]
    if count:
        return _shard_problem(shards, headers, count)
    header = headers[0]
    if header.split_count > 1:
        return f"It is one part of {header.split_count}, but its name does not end in -00001-of-{header.split_count:05d}.gguf."
    return _content_problem(header)


def _shard_problem(shards: Sequence[GgufFile], headers: Sequence[GgufHeader], count: int) -> str | None:
    missing = sorted(set(range(1, min(count, _MOST_SHARDS) + 1)) - _numbers(shards))
    if missing:
        parts = ", ".join(str(number) for number in missing[:5]) + (" …" if len(missing) > 5 else "")
        return f"Of its {count} parts, {len(missing)} are missing ({parts}). Download or copy them into the same folder."
    expected = headers[0].split_tensors
    if any(header.split_count != count for header in headers) or (expected and expected != sum(h.n_tensors for h in headers)):
        return "Its parts do not belong together. Download it again."
    return _content_problem(headers[0])


def _numbers(shards: Iterable[GgufFile]) -> frozenset[int]:
    return frozenset(shard.number for file in shards if (shard := shard_of(file.path.stem)))


def _content_problem(header: GgufHeader) -> str | None:
    if header.kind is GgufKind.VOCABULARY:
        return "It holds a vocabulary only, no weights."
    return None


def _quantization(stem: str, header: GgufHeader | None) -> str:
    """The header decides, but a name may say it finer: "UD-Q4_K_XL" is known as Q4_K_M to llama.cpp."""
    named = quantization_in(stem)
    if header is None or not header.quantization:
        return named
    return named if named and _bits(named) == _bits(header.quantization) else header.quantization


def _bits(quantization: str) -> str:
    found = re.search(r"\d+", quantization)
    return found.group() if found else ""


def _capabilities(header: GgufHeader | None, projector: GgufHeader | None) -> frozenset[Capability]:
    if header is None or header.kind is not GgufKind.MODEL:
        return frozenset()
    if header.is_reranker:
        return frozenset({Capability.RERANK})
    if header.is_embedding:
        return frozenset({Capability.EMBEDDING})
    if not header.has_template:
        return frozenset({Capability.COMPLETION})
    able = {
        Capability.CHAT: True,
        Capability.COMPLETION: True,
        Capability.TOOLS: header.template_takes_tools,
        Capability.REASONING: header.template_thinks,
        Capability.VISION: projector is not None and projector.has_vision,
        Capability.AUDIO: projector is not None and projector.has_audio,
    }
    return frozenset(capability for capability, has in able.items() if has)
