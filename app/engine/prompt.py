"""Prompt segments to tokens."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from app.domain.errors import InvalidRequest, UnsupportedContent
from app.domain.prompt import ControlText, Picture, PlainText, PromptSegment, Sound, TokenIds
from app.engine.decoder import PictureTokens, Projector, Vocabulary
from app.engine.pictures import read_picture
from app.engine.sounds import read_sound
from app.engine.tokens import PlacedPicture, TokenizedPrompt, pseudo_ids

__all__ = ["PromptTokenizer"]

_Parts: TypeAlias = tuple[tuple[int, ...] | PictureTokens, ...]
# Pictures and sounds that are remembered, in tokens; what they are encoded from takes 10 to 40 kB of memory per token.
_TOKENS_KEPT = 8192


class PromptTokenizer:
    """Turns prompts into tokens for one model. One thread, beside the engine thread.

    Neighbouring texts are tokenized as one, as they were in training, unless a person's text spells a control token: then that
    text is tokenized by itself, cut inside the marker, so that it stays text.
    """

    def __init__(
        self, vocabulary: Vocabulary, projector: Projector | None, *, model_name: str, tokens_kept: int = _TOKENS_KEPT
    ) -> None:
        self._vocabulary = vocabulary
        self._projector = projector
        self._model_name = model_name
        self._tokens_kept = tokens_kept
        self._known: OrderedDict[tuple[bytes, int | None], _Parts] = OrderedDict()

    def tokenize(self, segments: Iterable[PromptSegment], *, add_special: bool) -> TokenizedPrompt:
        """Raises InvalidRequest (an id, picture or sound that can't be used) and UnsupportedContent (a blind or deaf model)."""
        ids: list[int] = []
        pictures: list[PlacedPicture] = []
        texts: list[ControlText | PlainText] = []
        for segment in segments:
            match segment:
                case ControlText() | PlainText():
                    texts.append(segment)
                    continue
                case TokenIds():
                    ids += self._texts(texts) + self._checked(segment.ids)
                case Picture() | Sound():
                    ids += self._texts(texts)
                    self._add_media(segment, ids, pictures)
            texts.clear()
        ids += self._texts(texts)
        return self._with_bos(ids, pictures) if add_special else _prompt(ids, pictures)

    def _with_bos(self, ids: list[int], pictures: list[PlacedPicture]) -> TokenizedPrompt:
        bos = self._vocabulary.bos
        if bos is None or not self._vocabulary.adds_bos:
            return _prompt(ids, pictures)
        extra = 0
        while extra < len(ids) and ids[extra] == bos:
            extra += 1
        shift = 1 - extra
        return _prompt([bos, *ids[extra:]], [PlacedPicture(p.start + shift, p.tokens) for p in pictures])

    def _texts(self, texts: Sequence[ControlText | PlainText]) -> list[int]:
        markers = self._vocabulary.markers
        ids: list[int] = []
        group: list[ControlText | PlainText] = []
        for text in texts:
            if markers is not None and isinstance(text, PlainText) and markers.search(text.text):
                ids += self._joined(group, markers) + self._as_plain(text.text, markers)
                group = []
            else:
                group.append(text)
        return ids + self._joined(group, markers)

    def _joined(self, texts: Sequence[ControlText | PlainText], markers: re.Pattern[str] | None) -> list[int]:
        """Tokens of several texts as one; one by one if a marker would arise across their borders."""
        whole = "".join(text.text for text in texts)
        if not whole:
            return []
        if markers is None or len(markers.findall(whole)) == sum(len(markers.findall(text.text)) for text in texts):
            parse_special = any(isinstance(text, ControlText) for text in texts)
            return self._vocabulary.tokenize(whole, parse_special=parse_special)
        ids: list[int] = []
        for text in texts:
            ids += self._vocabulary.tokenize(text.text, parse_special=isinstance(text, ControlText))
        return ids

    def _as_plain(self, text: str, markers: re.Pattern[str]) -> list[int]:
        """Tokens of a text that spells markers, each cut after its first character."""
        ids: list[int] = []
        pieces = []
        while found := markers.search(text):
            pieces.append(text[: found.start() + 1])
            text = text[found.start() + 1 :]
        for piece in (*pieces, text):
            ids += self._within(piece) if ids else self._vocabulary.tokenize(piece, parse_special=False)
        return ids

    def _within(self, text: str) -> list[int]:
        """Tokens of a text behind another one, where no space must be added: that comes before the line break."""
        skipped = len(self._vocabulary.tokenize("\n", parse_special=False)) if text and self._vocabulary.adds_space else 0
        return self._vocabulary.tokenize("\n" + text if skipped else text, parse_special=False)[skipped:]

    def _checked(self, ids: tuple[int, ...]) -> list[int]:
        n_tokens = self._vocabulary.n_tokens
        for token in ids:
            if not 0 <= token < n_tokens:
                raise InvalidRequest(
                    f"{token} is not a token of this model; its ids go from 0 to {n_tokens - 1}.", param="prompt"
                )
        return list(ids)

    def _add_media(self, media: Picture | Sound, ids: list[int], pictures: list[PlacedPicture]) -> None:
        for part in self._media(media):
            if isinstance(part, PictureTokens):
                pictures.append(PlacedPicture(len(ids), part))
                ids += pseudo_ids(part.key, part.n_tokens).tolist()
            else:
                ids += part

    def _media(self, media: Picture | Sound) -> _Parts:
        projector = self._projector
        if isinstance(media, Picture) and not (projector and projector.sees_pictures):
            raise UnsupportedContent(f"{self._model_name} can't see pictures. Choose a model with vision.", param="messages")
        if isinstance(media, Sound) and not (projector and projector.hears):
            raise UnsupportedContent(f"{self._model_name} can't hear. Choose a model with audio input.", param="messages")
        assert projector is not None
        max_side = media.max_side if isinstance(media, Picture) else None
        key = hashlib.sha256(media.data).digest(), max_side
        known = self._known.get(key)
        if known is None:
            is_picture = isinstance(media, Picture)
            read = read_picture(media.data, max_side=max_side) if is_picture else read_sound(media.data)
            known = self._known[key] = projector.tokenize(read)
            self._forget_oldest()
        self._known.move_to_end(key)
        return known

    def _forget_oldest(self) -> None:
        while len(self._known) > 1 and sum(map(_n_tokens, self._known.values())) > self._tokens_kept:
            self._known.popitem(last=False)


def _n_tokens(parts: _Parts) -> int:
    return sum(part.n_tokens for part in parts if isinstance(part, PictureTokens))


def _prompt(ids: list[int], pictures: list[PlacedPicture]) -> TokenizedPrompt:
    """Each picture learns which ones follow it."""
    runs = [placed.tokens for placed in pictures]
    placed = (
        PlacedPicture(picture.start, replace(picture.tokens, following=tuple(runs[i + 1 :])))
        for i, picture in enumerate(pictures)
    )
    return TokenizedPrompt(np.asarray(ids, np.int32), tuple(placed))
