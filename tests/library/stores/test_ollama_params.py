from __future__ import annotations

from app.domain.generation import SamplingChoice
from app.library.stores.ollama_params import sampling_of


def test_what_is_named_alike_and_makes_sense_is_taken_over() -> None:
    params = {
        "temperature": 1,
        "top_k": 40.0,
        "min_p": 0.05,
        "top_p": 2.0,
        "repeat_penalty": "1.1",
        "repeat_last_n": -1,
        "mirostat": True,
        "num_ctx": 4096,
        "stop": ["<|end|>"],
    }
    assert sampling_of(params) == SamplingChoice(temperature=1.0, top_k=40, min_p=0.05, repeat_last_n=-1)
