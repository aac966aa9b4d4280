"""python -m tests.benchmarks: see README.md here."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from app.engine.llama.backend import physical_cores
from tests.benchmarks.models import SHAPES, model_file
from tests.benchmarks.report import print_verdicts
from tests.benchmarks.results import Results
from tests.benchmarks.runner import ALL_SCENARIOS, Plan, run
from tests.benchmarks.scenarios import Sizes
from tests.benchmarks.servers import Flags
from tests.benchmarks.targets import verdicts
from tests.benchmarks.vocabulary import VocabularySource

_TEXT_MODELS = tuple(name for name in SHAPES if name != "embedding")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    plan = Plan(
        scenarios=_chosen(options.scenarios, ALL_SCENARIOS, "--scenarios"),
        repeat=options.repeat or (1 if options.quick else 5),
        sizes=Sizes.quick() if options.quick else Sizes(),
        seed=options.seed,
        peers=tuple(map(_named, options.peer)),
        commands=tuple(map(_named, options.start)),
        embedding_commands=tuple(map(_named, options.start_embedding)),
        hearth=not options.no_hearth,
    )
    results = []
    for name in options.models.split(","):
        results.append(_measure(plan, name, options).as_json())
        if options.json is not None:
            options.json.write_text(json.dumps(results, indent=1))
    return 0


def _measure(plan: Plan, name: str, options: argparse.Namespace) -> Results:
    path = _model(name, options)
    flags = Flags(path, options.parallel, options.ctx_size, options.threads)
    embedding = (
        model_file("embedding", options.models_folder, _vocabularies(options)) if "embeddings" in plan.scenarios else None
    )
    print(f"\n== {path.name}, {path.stat().st_size / 1e6:.0f} MB; {plan.repeat} repetitions, seed {plan.seed}")
    print(f"   {flags.threads} threads, {flags.parallel} requests together, {flags.ctx} tokens of context")
    print("   'vs': how many times better Hearth is", flush=True)
    with tempfile.TemporaryDirectory(prefix="hearth-benchmark-") as folder:
        results = asyncio.run(run(plan, path.stem, flags, embedding, Path(folder)))
    print_verdicts(verdicts(results))
    return results


def _model(name: str, options: argparse.Namespace) -> Path:
    if name in _TEXT_MODELS:
        return model_file(name, options.models_folder, _vocabularies(options)).resolve()
    path = Path(name)
    if not path.is_file():
        raise SystemExit(f"--models: '{name}' is neither one of {', '.join(_TEXT_MODELS)} nor a file.")
    return path.resolve()


def _vocabularies(options: argparse.Namespace) -> VocabularySource:
    return VocabularySource(options.models_folder, options.vocab)


def _chosen(given: str, known: tuple[str, ...], option: str) -> tuple[str, ...]:
    if given == "all":
        return known
    names = tuple(given.split(","))
    for name in names:
        if name not in known:
            raise SystemExit(f"{option}: '{name}' is none of {', '.join(known)}.")
    return names


def _named(pair: str) -> tuple[str, str]:
    name, found, value = pair.partition("=")
    if not found or not name or not value:
        raise SystemExit(f"'{pair}' should be NAME=URL (--peer) or NAME=COMMAND (--start, --start-embedding).")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure Hearth, beside other servers.")
    add = parser.add_argument
    add("--models", default="135m", metavar="NAMES", help=f"of {', '.join(_TEXT_MODELS)}, or GGUF files; joined by commas")
    add("--scenarios", default="all", metavar="NAMES", help=f"of {', '.join(ALL_SCENARIOS)}; joined by commas")
    add("--repeat", type=int, metavar="N", help="repetitions of each scenario (5; with --quick 1)")
    add("--quick", action="store_true", help="small prompts, short answers: to see that it works")
    add("--peer", action="append", default=[], metavar="NAME=URL", help="a server that runs already; repeatable")
    add("--start", action="append", default=[], metavar="NAME=COMMAND", help="a server to start for each model; repeatable")
    add("--start-embedding", action="append", default=[], metavar="NAME=COMMAND", help="the same for the embedding model")
    add("--no-hearth", action="store_true", help="measure the others only")
    add("--parallel", type=int, default=16, metavar="N", help="requests answered together (16)")
    add("--ctx-size", type=int, default=16384, metavar="N", help="tokens of context, of all requests together (16384)")
    add("--threads", type=int, default=physical_cores(), metavar="N", help="of each server (physical cores)")
    add("--seed", default=secrets.token_hex(4), help="what the random texts come from; another one for each run")
    add("--vocab", type=Path, metavar="PATH", help="a GGUF with a vocabulary, or a folder of ggml-vocab-*.gguf files")
    add("--models-folder", type=Path, default=platformdirs.user_cache_path("hearth-benchmarks"), metavar="DIR")
    add("--json", type=Path, metavar="FILE", help="write every value there")
    return parser


if __name__ == "__main__":
    # As Ctrl-C does, so that no server is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
