from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.domain.generation import SamplerStep
from app.domain.models import Capability
from app.gui.models.profile_settings import groups
from app.gui.models.profile_values import FilePath, Names, Notation, Number, Numbers, PlainText, Quoted
from app.settings import ModelSettings, SamplingSettings
from tests.gui.stand_ins import a_model

CONTEXT = Number(256, 100_000, word="automatic", word_value=0)
MINUTES = Number(0, 1000, whole=False, word="for ever", word_value=-1.0, scale=60.0)
SEED = Number(0, 2**32 - 1, word="random")


@pytest.mark.parametrize(
    ("notation", "text", "value"),
    [
        (CONTEXT, "8192", 8192),
        (CONTEXT, "Automatic", 0),
        (CONTEXT, "0", 0),
        (MINUTES, "1.5", 90.0),
        (MINUTES, "1,5", 90.0),
        (MINUTES, "for ever", -1.0),
        (SEED, "random", None),
        (Number(0, 1, whole=False), ".05", 0.05),
        (Names(), "CUDA0, CUDA1,", ("CUDA0", "CUDA1")),
        (Numbers(), "3 1.5", (3.0, 1.5)),
        (Quoted(), r'"\n", ", ", "\""', ("\n", ", ", '"')),
        (PlainText(), "chatml", "chatml"),
        (FilePath(), "/models/small.gguf", "/models/small.gguf"),
    ],
)
def test_a_value_is_read_from_what_was_typed(notation: Notation, text: str, value: Any) -> None:
    assert notation.parse(text) == value


@pytest.mark.parametrize(
    ("notation", "text", "told"),
    [
        (CONTEXT, "12", "a whole number from 256 to 100000, or “automatic”"),
        (CONTEXT, "8k", "a whole number"),
        (CONTEXT, "4096.5", "a whole number"),
        (MINUTES, "-1", "from 0 to 1000, or “for ever”"),
        (Number(0, 1, whole=False), "nan", "a number from 0 to 1"),
        (Numbers(), "3 x", "with blanks between"),
        (Numbers(), "-1", "with blanks between"),
        (Numbers(), "inf", "with blanks between"),
        (Quoted(), "a, b", "in quotation marks"),
        (Quoted(), '"a", 3', "in quotation marks"),
    ],
)
def test_what_can_t_be_a_value_is_said_with_what_can(notation: Notation, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        notation.parse(text)


@pytest.mark.parametrize(
    ("notation", "value", "text"),
    [
        (CONTEXT, 8192, "8192"),
        (CONTEXT, 0, "automatic"),
        (MINUTES, 90.0, "1.5"),
        (MINUTES, -1.0, "for ever"),
        (SEED, None, "random"),
        (Number(0, 1e12, whole=False), 1_000_000.0, "1000000"),
        (Names("all"), (), "all"),
        (Numbers(), (3.0, 1.0), "3 1"),
        (Names(), (SamplerStep.TOP_K, SamplerStep.TEMPERATURE), "top_k, temperature"),
        (Quoted(), ("\n", "“"), r'"\n", "“"'),
        (FilePath("none"), None, "none"),
        (FilePath(), Path("/models/small.gguf"), str(Path("/models/small.gguf"))),
    ],
)
def test_a_value_is_written_as_it_can_be_typed(notation: Notation, value: Any, text: str) -> None:
    assert notation.show(value) == text


def test_every_setting_of_a_model_has_a_place() -> None:
    shown = [setting.name for group in groups(a_model()) for setting in group.settings]
    assert len(set(shown)) == len(shown)
    assert set(shown) == {
        *(name for name in ModelSettings.model_fields if name != "sampling"),
        *(f"sampling.{name}" for name in SamplingSettings.model_fields),
    }


def test_a_model_that_does_not_write_is_asked_nothing_about_writing() -> None:
    model = a_model(capabilities=frozenset({Capability.EMBEDDING}))
    shown = {setting.name for group in groups(model) for setting in group.settings}
    assert {"note", "n_ctx", "n_threads"} <= shown
    assert not {"system_prompt", "sampling.temperature", "adapters"} & shown
