"""What the hub's own description of a repository says about the model in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from app.domain.hub import HubModel
from app.domain.models import Capability, RemoteRepository
from app.library.gguf import is_embedding_architecture
from app.library.hub_listing import ListedFile, group_files

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

__all__ = ["hit_of", "repository_of"]

_EMBEDDING_TAGS: Final = frozenset({"feature-extraction", "sentence-similarity"})
_RERANK_TAGS: Final = frozenset({"text-ranking"})
_VISION_TAGS: Final = frozenset({"image-text-to-text", "visual-question-answering", "video-text-to-text", "any-to-any"})
_AUDIO_TAGS: Final = frozenset({"audio-text-to-text", "automatic-speech-recognition", "any-to-any"})
_TEXT_TAGS: Final = frozenset({"text-generation", "conversational"})
# How a tag that names the model it was made of may say what was done.
_RELATIONS: Final = ("quantized", "finetune", "adapter", "merge")


def hit_of(info: ModelInfo) -> HubModel:
    """A search's hit."""
    facts = _Facts(info)
    return HubModel(
        id=info.id,
        downloads=_count(info.downloads),
        likes=_count(info.likes),
        updated=facts.updated,
        gated=bool(info.gated),
        license=facts.license,
        architecture=facts.architecture,
        parameters=facts.parameters,
        n_ctx_train=facts.n_ctx_train,
        capabilities=facts.capabilities(),
    )


def repository_of(name: str, info: ModelInfo) -> RemoteRepository:
    facts = _Facts(info)
    files = group_files(
        # What a hub tells no size of can't be told from what arrives cut.
        ListedFile(file.rfilename, file.size, file.lfs.sha256 if file.lfs else None)
        for file in info.siblings or ()
        if file.size
    )
    return RemoteRepository(
        id=info.id or name,
        revision=info.sha or "main",
        files=files,
        gated=bool(info.gated),
        license=facts.license,
        downloads=_count(info.downloads),
        likes=_count(info.likes),
        updated=facts.updated,
        architecture=facts.architecture,
        parameters=facts.parameters,
        n_ctx_train=facts.n_ctx_train,
        capabilities=facts.capabilities(has_projector=any(file.is_projector for file in files)),
        base_model=facts.base_model,
    )


class _Facts:
    """Reads with care: anybody may write a repository's card, and the hub passes it on."""

    def __init__(self, info: ModelInfo) -> None:
        self._info = info
        gguf = getattr(info, "gguf", None)
        self._gguf: Mapping[str, Any] = gguf if isinstance(gguf, Mapping) else {}
        self._tags = [tag for tag in info.tags or () if isinstance(tag, str)]

    @property
    def updated(self) -> datetime | None:
        changed = self._info.last_modified
        return changed if changed is None or changed.tzinfo is not None else changed.replace(tzinfo=UTC)

    @property
    def license(self) -> str:
        """As the hub's list of licences calls it; one that is not on it by the name in the card, where that was sent."""
        listed = next((tag.partition(":")[2] for tag in self._tags if tag.startswith("license:")), "")
        named = self._info.card_data.get("license_name") if listed == "other" and self._info.card_data else None
        return named if isinstance(named, str) and named else listed

    @property
    def base_model(self) -> str:
        """What it was quantized from; the tag without a relation comes beside the one with it."""
        for tag in self._tags:
            kind, _, named = tag.partition(":")
            if kind == "base_model" and named.partition(":")[0] not in _RELATIONS:
                return named
        return ""

    @property
    def architecture(self) -> str:
        value = self._gguf.get("architecture")
        return value if isinstance(value, str) else ""

    @property
    def parameters(self) -> int:
        return self._number("total")

    @property
    def n_ctx_train(self) -> int:
        return self._number("context_length")

    def capabilities(self, *, has_projector: bool = False) -> frozenset[Capability]:
        """By the chat template and the architecture as in the file's header, as far as the hub tells them, and by its tags."""
        tags = {*self._tags, self._info.pipeline_tag or ""}
        template = self._gguf.get("chat_template")
        template = template if isinstance(template, str) else ""
        if tags & _RERANK_TAGS:
            return frozenset({Capability.RERANK})
        if is_embedding_architecture(self.architecture) or (tags & _EMBEDDING_TAGS and not tags & _TEXT_TAGS):
            return frozenset({Capability.EMBEDDING})
        chats = bool(template) or "conversational" in tags
        able = {
            Capability.COMPLETION: True,
            Capability.CHAT: chats,
            Capability.TOOLS: chats and "tools" in template,
            Capability.REASONING: chats and ("think" in template or "reasoning_content" in template),
            Capability.VISION: (has_projector and not tags & _AUDIO_TAGS) or bool(tags & _VISION_TAGS),
            Capability.AUDIO: bool(tags & _AUDIO_TAGS),
        }
        return frozenset(capability for capability, has in able.items() if has)

    def _number(self, name: str) -> int:
        return _count(self._gguf.get(name))


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
