"""Rendering a request into prompt segments, each known to be the template's text, a person's text, a picture or a sound."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from app.domain.errors import InvalidRequest, UnsupportedContent
from app.domain.generation import ChatRequest
from app.domain.messages import AudioPart
from app.domain.prompt import ControlText, Picture, PlainText, PromptSegment, Sound
from app.formats.conversation import Conversation, Media, Wording, texts_of
from app.formats.marks import RISKY, MarkedText, Marks, Run
from app.formats.spec import ToolSyntax
from app.formats.template import ChatTemplate
from app.formats.traits import TemplateTraits
from app.formats.turns import begun_turn

__all__ = ["plain_prompt", "render_prompt"]


@dataclass(frozen=True, slots=True)
class _Unmarked:
    """Words as they are: what the template would be given without us."""

    marks: Marks

    def content(self, text: str) -> str:
        return text

    def value(self, text: str) -> str:
        return text

    def picture(self, index: int) -> str:
        return self.marks.picture(index)

    def stop(self) -> str:
        return self.marks.stop


@dataclass(frozen=True, slots=True)
class _Whole(_Unmarked):
    """Marks around each content."""

    def content(self, text: str) -> str:
        return self.marks.around(text)

    def value(self, text: str) -> str:
        return self.marks.around(text) if RISKY.search(text) else text


@dataclass(frozen=True, slots=True)
class _Fine(_Unmarked):
    """Marks only around what might spell a special token: in the contents `only`, or in all of them.

    `bare` is what the template looks for in contents; it is left unmarked.
    """

    bare: re.Pattern[str] | None
    only: frozenset[str] | None

    def content(self, text: str) -> str:
        if self.only is not None and text.strip() not in self.only:
            return self.marks.around(text)
        return self.marks.around_risky(text, self.bare)

    def value(self, text: str) -> str:
        return self.marks.around_risky(text)


def render_prompt(
    template: ChatTemplate, traits: TemplateTraits, request: ChatRequest, syntax: ToolSyntax | None = None
) -> tuple[PromptSegment, ...]:
    """The prompt of a request. The texts of its segments, joined, are what the template makes of the request without us.

    If the last message is to be continued, the prompt ends with its text. `syntax` is how the model writes calls. Only where a
    template cuts or rewrites a content that might spell special tokens, that content is taken over as it is.
    Raises InvalidRequest (the template refuses) and UnsupportedContent (it has no place for a picture or sound).
    """
    painter = _Painter(template, traits, request, syntax)
    plain, whole = painter.paint(_Unmarked), painter.paint(_Whole)
    leaks = any(_is_risky(text, template.looked_for) for text in whole.lost)
    if whole.text == plain.text and not leaks:
        return _segments(whole, painter.pictures)
    # The template cuts or compares contents. Mark less, so that it sees more of what it looks for.
    for only, bare in itertools.product((frozenset(whole.lost), None), (None, template.looked_for)):
        finer = painter.paint(partial(_Fine, bare=bare, only=only))
        if finer.text == plain.text:
            return _segments(finer, painter.pictures)
    if leaks or not whole.is_clean:
        raise InvalidRequest(
            "The model's chat template changes texts with signs such as '<' so that they can't be told from its own. "
            "Leave such signs out of messages and tools.",
            param="messages",
        )
    return _segments(whole, painter.pictures)


def plain_prompt(template: ChatTemplate, traits: TemplateTraits, request: ChatRequest, syntax: ToolSyntax | None = None) -> str:
    """The text of `render_prompt`. Raises the same."""
    return _Painter(template, traits, request, syntax).paint(_Unmarked).text


def _is_risky(text: str, looked_for: re.Pattern[str] | None) -> bool:
    return RISKY.search(looked_for.sub("", text) if looked_for else text) is not None


class _Painter:
    """Renders one request again and again, with other marks but at the same moment."""

    def __init__(self, template: ChatTemplate, traits: TemplateTraits, request: ChatRequest, syntax: ToolSyntax | None) -> None:
        self._template = template
        self._traits = traits
        self._syntax = syntax
        self._begun = begun_turn(request) is not None
        self._request = request
        self._marks = Marks(texts_of(request))
        self._now = datetime.now().astimezone()
        self.pictures: tuple[Media, ...] = ()

    def paint(self, wording: Callable[[Marks], Wording]) -> MarkedText:
        marks = self._marks.anew()
        conversation = Conversation.of(self._request, self._traits, wording(marks), self._syntax)
        self.pictures = conversation.pictures
        rendered = self._template.render(
            conversation.messages,
            tools=conversation.tools,
            args=self._request.template_args,
            now=self._now,
            add_generation_prompt=not self._begun,
        )
        if self._begun:
            rendered, stop, _ = rendered.rpartition(marks.stop)
            if not stop:
                raise InvalidRequest(
                    "The model's chat template changes the last message, so that it can't be continued. "
                    "Leave it out, or let it be answered: 'add_generation_prompt': true.",
                    param="messages",
                )
        return marks.read(rendered, cuts=self._template.looked_for)


def _segments(marked: MarkedText, pictures: tuple[Media, ...]) -> tuple[PromptSegment, ...]:
    runs = _with_blanks_settled(_merged(marked.runs))
    shown = [run.picture for run in runs if run.picture is not None]
    if sorted(shown) != list(range(len(pictures))):
        raise UnsupportedContent(
            "The model's chat template has no place for a picture or sound in one of these messages.", param="messages"
        )
    return tuple(_segment(run, pictures) for run in runs)


def _segment(run: Run, pictures: tuple[Media, ...]) -> PromptSegment:
    if run.picture is not None:
        media = pictures[run.picture]
        return Sound(media.data) if isinstance(media, AudioPart) else Picture(media.data, media.max_side)
    return PlainText(run.text) if run.plain else ControlText(run.text)


def _merged(runs: Iterable[Run]) -> list[Run]:
    """Neighbours of one kind become one."""
    merged: list[Run] = []
    for run in runs:
        last = merged[-1] if merged else None
        if last and run.picture is None and last.picture is None and run.plain == last.plain:
            merged[-1] = Run(last.text + run.text, plain=run.plain)
        else:
            merged.append(run)
    return merged


def _with_blanks_settled(runs: list[Run]) -> list[Run]:
    """Give blanks between a template's words and a person's to the person's, where tokenizers join them with what they touch.

    " hello" and "Hello!\n" are usual tokens; a segment border inside them would make rarer ones. A line break after the
    template's words stays with them: some special tokens swallow it.
    """
    settled: list[Run] = []
    for run in runs:
        last = settled[-1] if settled else None
        if last and run.plain and not last.plain and last.picture is None:
            kept = last.text.rstrip(" \t")
            settled[-1] = Run(kept)
            run = Run(last.text[len(kept) :] + run.text, plain=True)
        elif last and last.plain and not run.plain and run.picture is None:
            kept = run.text.lstrip()
            settled[-1] = Run(last.text + run.text[: len(run.text) - len(kept)], plain=True)
            run = Run(kept)
        settled.append(run)
    return _merged(run for run in settled if run.text or run.picture is not None)
