"""What llama.cpp itself needs for a model and a context: measured in a process that does nothing else.

python -m tests.benchmarks.own_memory MODEL PARALLEL CTX THREADS
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.processes import private_bytes

__all__ = ["own_memory"]

_BATCH, _MICRO_BATCH = 2048, 512


def own_memory(model: Path, *, parallel: int, ctx: int, threads: int) -> int:
    """Resident bytes besides the pages of the model's file. Linux only."""
    command = [sys.executable, "-m", "tests.benchmarks.own_memory", str(model), str(parallel), str(ctx), str(threads)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"The model's own memory could not be measured: {result.stderr[-1000:]}")
    return int(result.stdout)


def _measure(path: Path, parallel: int, ctx: int, threads: int) -> int:
    import llama_cpp.llama_cpp as native

    native.llama_backend_init()
    before = private_bytes(os.getpid(), path)
    model = native.llama_model_load_from_file(str(path).encode(), native.llama_model_default_params())
    context = native.llama_init_from_model(model, _params(native, parallel, ctx, threads))
    if not context:
        raise SystemExit("The model or its context can't be made.")
    tokens = (ctypes.c_int32 * min(_MICRO_BATCH, ctx))(*range(100, 100 + min(_MICRO_BATCH, ctx)))
    native.llama_decode(context, native.llama_batch_get_one(tokens, len(tokens)))
    return private_bytes(os.getpid(), path) - before


def _params(native: Any, parallel: int, ctx: int, threads: int) -> Any:
    """As Hearth and llama-server set them."""
    params = native.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = ctx, _BATCH, _MICRO_BATCH
    params.n_seq_max = params.n_outputs_max = parallel
    params.n_threads = params.n_threads_batch = threads
    params.swa_full, params.kv_unified, params.no_perf = False, True, True
    params.flash_attn_type = -1
    return params


if __name__ == "__main__":
    print(_measure(Path(sys.argv[1]).resolve(), *(int(value) for value in sys.argv[2:5])))
