"""What it costs to list the models on this computer, to look for changes, and to read a header. By hand:

    python -m tests.benchmarks.bench_library [--models 500] [--repeat 5] [model.gguf …]

The models are small files with vocabularies of some thousand tokens, each in a repository of its own; "cold" reads every
header, though the system may still have the files in memory. The headers read by themselves have the vocabulary of Gemma 4 in
size: 262,144 tokens and 514,906 merges. Files that are named are read as well.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.library.catalogue import Catalogue
from app.library.gguf import read_header
from app.library.headers import HeaderCache
from app.library.listing import BUILT_IN_ID, Places, list_models
from app.paths import resource
from tests.benchmarks.report import print_table

_COLD_S: Final = 1.0
_WARM_S: Final = 0.05
_HEADER_S: Final = 0.3
_LARGE: Final = (262_144, 514_906)
_SMALL: Final = (4000, 8000)
_STRING, _ARRAY, _UINT32, _FLOAT32 = 8, 9, 4, 6


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="hearth-benchmark-", dir=options.folder) as name:
        folder = Path(name)
        rows = [*_scans(folder, options.models, options.repeat), *_headers(folder, options.files, options.repeat)]
    print_table(("", "median", "processor", "target"), [cost.row() for cost in rows])
    return 0


@dataclass(frozen=True, slots=True)
class _Cost:
    what: str
    took_s: float
    processor_s: float
    target_s: float = 0.0

    def row(self) -> tuple[str, str, str, str]:
        target = f"{self.target_s * 1e3:.0f} ms" if self.target_s else ""
        return (self.what, f"{self.took_s * 1e3:.1f} ms", f"{self.processor_s * 1e3:.1f} ms", target)


def _scans(folder: Path, n_models: int, repeat: int) -> list[_Cost]:
    vocabulary = _vocabulary(*_SMALL)
    for number in range(n_models):
        write_file(folder / "models" / f"org{number % 50}" / f"Model-{number}-GGUF" / f"Model-{number}-Q4_K_M.gguf", vocabulary)
    places = Places(
        built_in=resource(BUILT_IN_ID, f"{BUILT_IN_ID}.gguf"),
        library=folder / "models",
        folders=(),
        added=(),
        opened=(),
        catalogue=Catalogue.read(resource("catalogue.json")),
    )
    # Old ones: what was changed just now is always looked at again.
    for path in (places.library, *places.library.rglob("*")):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    cache = folder / "headers.json"
    known = HeaderCache(cache)
    seen = list_models(places, known).seen

    def cold() -> object:
        cache.unlink(missing_ok=True)
        return list_models(places, HeaderCache(cache))

    items = f"{n_models} models"
    return [
        _timed(f"{items}, cold", cold, repeat, _COLD_S),
        _timed(f"{items}, warm", lambda: list_models(places, known), repeat, _WARM_S),
        _timed(f"{items}, first scan of another run", lambda: list_models(places, HeaderCache(cache)), repeat),
        _timed(f"{items}, look for changes", seen.has_changed, repeat),
    ]


def _headers(folder: Path, files: Sequence[Path], repeat: int) -> list[_Cost]:
    large = folder / "large.gguf"
    write_file(large, _vocabulary(*_LARGE))
    named = {"header, 262,144 tokens": large, **{f"header, {file.name}": file for file in files}}
    return [_timed(what, lambda file=file: read_header(file), repeat, _HEADER_S) for what, file in named.items()]  # type: ignore[misc]


def _timed(what: str, run: Callable[[], object], repeat: int, target_s: float = 0.0) -> _Cost:
    times, processor = [], []
    for _ in range(repeat):
        began, worked = time.perf_counter(), time.process_time()
        run()
        times.append(time.perf_counter() - began)
        processor.append(time.process_time() - worked)
    return _Cost(what, statistics.median(times), statistics.median(processor), target_s)


def write_file(path: Path, vocabulary: bytes) -> None:
    """A header like a converter's of a model of forty layers, and the room for its weights, which takes no space."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = [
        _entry("general.architecture", _STRING, _text("llama")),
        _entry("general.name", _STRING, _text(path.stem)),
        *(_entry(f"llama.{key}", _UINT32, struct.pack("<I", 4096)) for key in ("context_length", "embedding_length")),
        vocabulary,
        _entry("tokenizer.chat_template", _STRING, _text("{{ messages }}" * 200)),
    ]
    parts = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down", "ffn_gate", "attn_norm", "ffn_norm")
    names = ["token_embd.weight", *(f"blk.{layer}.{part}.weight" for layer in range(40) for part in parts)]
    size = 256 * 256 * 4
    tensors = b"".join(_text(name) + struct.pack("<IQQIQ", 2, 256, 256, 0, at * size) for at, name in enumerate(names))
    # Five facts and what the vocabulary holds.
    head = b"GGUF" + struct.pack("<IQQ", 3, len(names), 5 + 4) + b"".join(facts) + tensors
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + 32 + len(names) * size)


def _vocabulary(n_tokens: int, n_merges: int) -> bytes:
    dice = random.Random(0)
    lengths = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12)
    words = ["".join(dice.choices("abcdefghijklmnop", k=dice.choice(lengths))) for _ in range(n_tokens)]
    merges = [f"{dice.choice(words)[:6]} {dice.choice(words)[:6]}" for _ in range(n_merges)]
    return b"".join(
        (
            _strings("tokenizer.ggml.tokens", words),
            _strings("tokenizer.ggml.merges", merges),
            _numbers("tokenizer.ggml.scores", _FLOAT32, n_tokens),
            _numbers("tokenizer.ggml.token_type", _UINT32, n_tokens),
        )
    )


def _strings(key: str, items: Sequence[str]) -> bytes:
    return _entry(key, _ARRAY, struct.pack("<IQ", _STRING, len(items)) + b"".join(map(_text, items)))


def _numbers(key: str, kind: int, n: int) -> bytes:
    return _entry(key, _ARRAY, struct.pack("<IQ", kind, n) + bytes(4 * n))


def _entry(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="Model files whose headers are read too.")
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="Where the files are written for the while.")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
