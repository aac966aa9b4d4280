"""Reading a model's answer format off its chat template, by rendering it with and without what is looked for."""

from __future__ import annotations

from app.formats.derive_calls import ANSWER, derive_tools
from app.formats.families import family_of
from app.formats.spec import TAG, ContentSyntax, FormatSpec, ReasoningSyntax
from app.formats.template import ChatTemplate
from app.formats.traits import QUESTION, TemplateTraits, probe

__all__ = ["derive_spec"]

_THOUGHT = "Rzxr4"
_KNOWN_REASONING = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<reasoning>", "</reasoning>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
)


def derive_spec(template: ChatTemplate, traits: TemplateTraits) -> FormatSpec:
    """What the template shows, and what is known of its family besides."""
    reasoning = _reasoning(template, traits)
    shown = FormatSpec(reasoning, derive_tools(template, traits, reasoning), _content(template, traits))
    family = family_of(template.source)
    return family.over(shown) if family else shown


def _content(template: ChatTemplate, traits: TemplateTraits) -> ContentSyntax | None:
    """Markers that belong together and stand right before and behind the words of an answer."""
    user, answer = traits.turn("user", QUESTION), traits.turn("assistant", ANSWER)
    text = probe(template, [user, answer], tools=traits.no_tools, add_generation_prompt=False) or ""
    before, found, after = text.rpartition(ANSWER)
    opens, closes = TAG.findall(before), TAG.match(after.lstrip())
    if not found or not opens or closes is None or not before.rstrip().endswith(opens[-1]):
        return None
    return ContentSyntax(opens[-1], closes.group()) if _is_pair(opens[-1], closes.group()) else None


# ------------------------------------------------------------------------------------------------------------- reasoning
def _reasoning(template: ChatTemplate, traits: TemplateTraits) -> ReasoningSyntax | None:
    return _rendered_reasoning(template, traits) or _mentioned_reasoning(template)


def _rendered_reasoning(template: ChatTemplate, traits: TemplateTraits) -> ReasoningSyntax | None:
    """The markers around `reasoning_content`, where the template renders it."""
    user, answer = traits.turn("user", QUESTION), traits.turn("assistant", ANSWER)
    text = probe(
        template, [user, {**answer, traits.reasoning_key: _THOUGHT}], tools=traits.no_tools, add_generation_prompt=False
    )
    if not text or _THOUGHT not in text or ANSWER not in text[text.find(_THOUGHT) :]:
        return None
    before, after = text.split(_THOUGHT, 1)
    opens, closes = TAG.findall(before[before.rfind(QUESTION) :]), TAG.findall(after[: after.find(ANSWER)])
    if not opens or not closes or not before.rstrip().endswith(opens[-1]) or not after.lstrip().startswith(closes[0]):
        return None
    return ReasoningSyntax(opens[-1], closes[0]) if _is_pair(opens[-1], closes[0]) else None


def _mentioned_reasoning(template: ChatTemplate) -> ReasoningSyntax | None:
    """Well-known markers that the template handles in earlier answers, or asks for."""
    for opening, closing in _KNOWN_REASONING:
        if closing in template.source:
            return ReasoningSyntax(opening, closing)
    return None


def _is_pair(opening: str, closing: str) -> bool:
    """A channel that opens another channel instead of closing is a different family."""
    swaps = (("begin", "end"), ("START", "END"), ("prefix", "suffix"))
    return closing == f"{opening[0]}/{opening[1:]}" or any(
        first in opening and closing == opening.replace(first, second) for first, second in swaps
    )
