"""What can be set for one model, as people read it: in groups, each setting with its name, its meaning and its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from PySide6.QtCore import QCoreApplication

from app.domain.models import Capability, InstalledModel
from app.gui.models.profile_values import Choice, FilePath, Names, Notation, Number, Numbers, PlainText, Quoted

__all__ = ["Adapters", "Group", "LongText", "Setting", "ValueKind", "groups"]

_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")


@dataclass(frozen=True, slots=True)
class LongText:
    """Several lines of text."""


@dataclass(frozen=True, slots=True)
class Adapters:
    """Files of LoRA adapters, each with its strength."""


ValueKind: TypeAlias = Notation | Choice | LongText | Adapters


@dataclass(frozen=True, slots=True)
class Setting:
    """`name` is that of an `EffectiveValue`; `is_file` offers to look for a file."""

    name: str
    title: str
    hint: str
    kind: ValueKind
    is_file: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    settings: tuple[Setting, ...]


def groups(model: InstalledModel) -> tuple[Group, ...]:
    """All settings that mean something for a model: one that does not write has nothing to sample."""
    writes = model.can(Capability.CHAT) or model.can(Capability.COMPLETION)
    answers = (_answers(), _sampling(), _more_sampling()) if writes else (_notes(),)
    return (*answers, _memory(), _computing(), _stretching(), *((_additions(),) if writes else ()))


def _note() -> Setting:
    return Setting("note", _tr("Note"), _tr("For yourself; the model never sees it."), LongText())


def _notes() -> Group:
    return Group(_tr("Note"), (_note(),))


def _answers() -> Group:
    efforts = (
        ("auto", _tr("Automatic")),
        ("none", _tr("None")),
        ("on", _tr("On")),
        ("minimal", _tr("Minimal")),
        ("low", _tr("Low")),
        ("medium", _tr("Medium")),
        ("high", _tr("High")),
        ("xhigh", _tr("Very high")),
        ("max", _tr("As much as it can")),
    )
    return Group(
        _tr("Answers"),
        (
            Setting(
                "system_prompt",
                _tr("Instructions"),
                _tr("What this model reads first, in chats and requests that say nothing of the kind."),
                LongText(),
            ),
            Setting(
                "reasoning_effort",
                _tr("Reasoning"),
                _tr("How much it thinks before it answers, if it can."),
                Choice(efforts),
            ),
            Setting(
                "reasoning_budget",
                _tr("Most tokens for reasoning"),
                _tr("There its thinking is ended, and the answer begins."),
                Number(0, 10_000_000, word=_tr("no limit"), word_value=-1),
            ),
            Setting(
                "chat_template",
                _tr("Chat template"),
                _tr("The name of one that comes with Hearth, or a Jinja file."),
                PlainText(_tr("the model's own")),
                is_file=True,
            ),
            _note(),
        ),
    )


def _sampling() -> Group:
    off = _tr("off")
    everything = _tr("all")
    return Group(
        _tr("Sampling"),
        (
            _drawn("temperature", _tr("Temperature"), _tr("0 takes the likeliest word; more is more varied."), _number(0, 100)),
            _drawn("top_k", _tr("Top-k"), _tr("Draws from so many of the likeliest tokens."), Number(0, 2**31, True, off, 0)),
            _drawn("top_p", _tr("Top-p"), _tr("Draws from the likeliest that make up this share; 1 is off."), _number(0, 1)),
            _drawn("min_p", _tr("Min-p"), _tr("Leaves out what is less than this share as likely as the best."), _number(0, 1)),
            _drawn(
                "repeat_penalty", _tr("Repeat penalty"), _tr("Above 1 it avoids what was said; 1 is off."), _number(0.01, 100)
            ),
            _drawn(
                "repeat_last_n",
                _tr("Tokens the penalties look at"),
                _tr("How far back, in prompt and answer."),
                Number(0, 2**31 - 1, True, everything, -1),
            ),
            _drawn(
                "frequency_penalty", _tr("Frequency penalty"), _tr("Grows each time a token comes again."), _number(-100, 100)
            ),
            _drawn(
                "presence_penalty", _tr("Presence penalty"), _tr("For any token that was there before."), _number(-100, 100)
            ),
            _drawn(
                "seed",
                _tr("Seed"),
                _tr("The same one gives the same answer again."),
                Number(0, 2**32 - 1, True, _tr("random")),
            ),
        ),
    )


def _more_sampling() -> Group:
    off, everything = _tr("off"), _tr("all")
    return Group(
        _tr("More sampling"),
        (
            _drawn(
                "dynatemp_range",
                _tr("Dynamic temperature range"),
                _tr("How far the temperature goes down and up with how sure the model is; 0 is off."),
                _number(0, 100),
            ),
            _drawn("dynatemp_exponent", _tr("Dynamic temperature exponent"), _tr("The shape of that way."), _number(0, 100)),
            _drawn("typical_p", _tr("Typical-p"), _tr("Prefers tokens of the usual surprise; 1 is off."), _number(0, 1)),
            _drawn(
                "top_n_sigma",
                _tr("Top-n sigma"),
                _tr("Draws from what is within so many standard deviations of the best."),
                Number(-100, 100, False, off, -1.0),
            ),
            _drawn(
                "xtc_probability", _tr("XTC probability"), _tr("How often the likeliest are left out; 0 is off."), _number(0, 1)
            ),
            _drawn("xtc_threshold", _tr("XTC threshold"), _tr("From which share on; above 0.5 is off."), _number(0, 1)),
            _drawn(
                "mirostat",
                _tr("Mirostat"),
                _tr("Keeps the surprise of the text even, in place of most other steps."),
                Choice(((0, _tr("Off")), (1, _tr("Version 1")), (2, _tr("Version 2")))),
            ),
            _drawn("mirostat_tau", _tr("Mirostat target"), _tr("The surprise it aims at."), _number(0, 100)),
            _drawn("mirostat_eta", _tr("Mirostat rate"), _tr("How fast it gets there."), _number(0, 1)),
            _drawn(
                "adaptive_target",
                _tr("Adaptive-p target"),
                _tr("Draws tokens near this probability."),
                Number(-1, 1, False, off, -1.0),
            ),
            _drawn("adaptive_decay", _tr("Adaptive-p decay"), _tr("How long it remembers what it drew."), _number(0, 0.99)),
            _drawn(
                "dry_multiplier", _tr("DRY multiplier"), _tr("Against phrases that come again; 0 is off."), _number(-100, 100)
            ),
            _drawn("dry_base", _tr("DRY base"), _tr("How fast that grows with the length of the phrase."), _number(1, 100)),
            _drawn(
                "dry_allowed_length", _tr("DRY allowed length"), _tr("Tokens that may always come again."), Number(0, 2**31 - 1)
            ),
            _drawn(
                "dry_penalty_last_n",
                _tr("Tokens DRY looks at"),
                _tr("How far back, in prompt and answer."),
                Number(0, 2**31 - 1, True, everything, -1),
            ),
            _drawn(
                "dry_sequence_breakers",
                _tr("DRY breakers"),
                _tr("Where a phrase ends, whatever comes again after it."),
                Quoted(),
            ),
            _drawn(
                "samplers",
                _tr("Order of the steps"),
                _tr("By llama.cpp's names, penalties and dry first; a step that is not named is not taken."),
                Names(),
            ),
        ),
    )


def _memory() -> Group:
    automatic = _tr("automatic")
    cache = Choice(tuple((name, name) for name in _CACHE_TYPES))
    return Group(
        _tr("Memory"),
        (
            Setting(
                "n_ctx",
                _tr("Context size, in tokens"),
                _tr("How much of a conversation it can read at once. More takes more memory."),
                Number(256, 100_000_000, word=automatic, word_value=0),
            ),
            Setting(
                "gpu_layers",
                _tr("Layers on the graphics card"),
                _tr("0 runs it on the processor alone."),
                Number(0, 999, word=automatic, word_value="auto"),
            ),
            Setting(
                "keep_alive_s",
                _tr("Minutes it stays in memory unused"),
                _tr("0 unloads it after each answer."),
                Number(0, 1_000_000, False, _tr("for ever"), -1.0, 60.0),
            ),
            Setting("pinned", _tr("Keep in memory"), _tr("Once it is there, it never makes room for others."), Choice.switch()),
            Setting(
                "cache_type_k", _tr("Type of cached keys"), _tr("Smaller ones take less memory and are less exact."), cache
            ),
            Setting("cache_type_v", _tr("Type of cached values"), _tr("Quantized ones need flash attention."), cache),
            Setting("use_mmap", _tr("Map the file into memory"), _tr("Loads faster, and on demand."), Choice.switch()),
            Setting(
                "use_mlock",
                _tr("Lock in memory"),
                _tr("Keeps it from being swapped out, if the system lets it."),
                Choice.switch(),
            ),
            Setting(
                "memory_check",
                _tr("Refuse what does not fit"),
                _tr("Off tries to load it all the same, which may end in a crash or a crawl."),
                Choice.switch(),
            ),
        ),
    )


def _computing() -> Group:
    automatic = _tr("automatic")
    attention = (("auto", _tr("Automatic")), ("on", _tr("On")), ("off", _tr("Off")))
    return Group(
        _tr("Computing"),
        (
            Setting(
                "n_parallel",
                _tr("Requests answered together"),
                _tr("Others wait for their turn. More takes more memory."),
                Number(1, 64),
            ),
            Setting(
                "n_threads",
                _tr("Processor threads"),
                _tr("As many as the processor has real cores is best for most computers."),
                Number(0, 512, word=automatic, word_value=0),
            ),
            Setting(
                "devices",
                _tr("Graphics cards"),
                _tr("Names as “hearth devices” lists them, with commas between them."),
                Names(_tr("all")),
            ),
            Setting(
                "tensor_split",
                _tr("Share of each card"),
                _tr("Numbers with blanks between them, such as “3 1”."),
                Numbers(_tr("by free memory")),
            ),
            Setting("flash_attention", _tr("Flash attention"), _tr("Takes less memory where it works."), Choice(attention)),
            Setting(
                "n_batch", _tr("Tokens read at once"), _tr("Of a prompt. More is faster, up to a point."), Number(32, 65536)
            ),
            Setting(
                "n_ubatch", _tr("Tokens computed at once"), _tr("More takes more memory for computing."), Number(32, 65536)
            ),
        ),
    )


def _stretching() -> Group:
    from_file = _tr("from the file")
    types = (
        ("", _tr("From the file")),
        ("none", _tr("None")),
        ("linear", _tr("Linear")),
        ("yarn", "YaRN"),
        ("longrope", "LongRoPE"),
    )
    return Group(
        _tr("Longer context than it was trained for"),
        (
            Setting("rope_type", _tr("RoPE scaling"), _tr("How positions are stretched."), Choice(types)),
            Setting(
                "rope_factor",
                _tr("RoPE factor"),
                _tr("How many times as long the context becomes."),
                Number(0, 1024, False, from_file, 0.0),
            ),
            Setting(
                "rope_freq_base",
                _tr("RoPE base frequency"),
                _tr("Only where the model's makers name another."),
                Number(0, 1e12, False, from_file, 0.0),
            ),
            Setting(
                "rope_original_ctx",
                _tr("Context that is stretched, in tokens"),
                _tr("What the model was trained for at first."),
                Number(0, 100_000_000, word=from_file, word_value=0),
            ),
        ),
    )


def _additions() -> Group:
    return Group(
        _tr("Adapters and draft model"),
        (
            Setting(
                "adapters",
                _tr("LoRA adapters"),
                _tr("GGUF files that change how it answers, each with a strength."),
                Adapters(),
            ),
            Setting(
                "n_draft",
                _tr("Tokens guessed ahead"),
                _tr("Right guesses save time; answers stay the same."),
                Number(0, 8, word=_tr("none"), word_value=0),
            ),
            Setting(
                "draft_model",
                _tr("Draft model"),
                _tr("A small model of the same family that makes better guesses."),
                FilePath(_tr("none")),
                is_file=True,
            ),
        ),
    )


def _drawn(name: str, title: str, hint: str, kind: ValueKind) -> Setting:
    return Setting(f"sampling.{name}", title, hint, kind)


def _number(least: float, most: float) -> Number:
    return Number(least, most, whole=False)


def _tr(text: str) -> str:
    return QCoreApplication.translate("profile", text)
