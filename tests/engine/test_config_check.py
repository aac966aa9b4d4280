from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.engine.config_check import problem_of
from app.engine.protocol import EngineConfig, RopeScaling

CONFIG = EngineConfig(Path("model.gguf"))
DEVICES = ("CUDA0", "CPU")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"devices": ("CUDA0",)},
        {"devices": ("CPU",)},
        {"tensor_split": (3.0, 1.0)},
        {"cache_type_k": "q4_0", "flash_attention": False},
        {"cache_type_v": "q8_0"},
        {"cache_type_v": "bf16", "flash_attention": False},
        {"rope": RopeScaling("yarn", 4.0, 1e6, 32768)},
        {"rope": RopeScaling(freq_base=1e6)},
    ],
)
def test_what_can_be_tried_is_let_through(change: dict[str, Any]) -> None:
    assert problem_of(replace(CONFIG, **change), DEVICES) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"devices": ("CUDA7",)}, "no device 'CUDA7'. This computer has: CUDA0, CPU."),
        ({"tensor_split": (0.0, 0.0)}, "at least one share"),
        ({"cache_type_k": "q3_k"}, "Choose one of f32, f16"),
        ({"cache_type_v": "q8_0", "flash_attention": False}, "needs flash attention"),
        ({"rope": RopeScaling("magic")}, "Choose one of none, linear"),
        ({"rope": RopeScaling("yarn", 0.5)}, "between 1 and 1024"),
        ({"rope": RopeScaling(factor=2.0)}, "needs a scaling type"),
        ({"rope": RopeScaling(freq_base=-1.0)}, "can't be negative"),
    ],
)
def test_what_cant_work_is_named_with_what_to_change(change: dict[str, Any], words: str) -> None:
    problem = problem_of(replace(CONFIG, **change), DEVICES)
    assert problem is not None
    assert words in problem
