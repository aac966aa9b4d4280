from __future__ import annotations

import logging

import pytest

from app.engine.llama.allocations import listening, parse

MIB = 1024 * 1024
GPU_LOAD = """
load_tensors: layer   0 assigned to device CPU, is_swa = 0
load_tensors: layer   1 assigned to device CUDA0, is_swa = 0
load_tensors: layer   2 assigned to device CUDA0, is_swa = 0
load_tensors: layer  10 assigned to device CUDA1, is_swa = 0
model has unused tensor blk.3.nextn.eh_proj.weight (size = 123 bytes) -- ignoring
load_tensors:   CPU_Mapped model buffer size =     1.50 MiB
load_tensors:   CPU_REPACK model buffer size =     0.50 MiB
load_tensors:        CUDA0 model buffer size =     8.00 MiB
llama_context: constructing llama_context
llama_context:  CUDA_Host  output buffer size =     0.25 MiB
llama_kv_cache: layer   0: filtered
llama_kv_cache: layer   1: dev = CUDA0
llama_kv_cache: layer   2: dev = CUDA0
llama_kv_cache: layer  10: dev = CUDA1
llama_kv_cache: size =    3.00 MiB (  4096 cells,   3 layers, 28/1 seqs), K (f16):    1.50 MiB, V (f16):    1.50 MiB
llama_kv_cache_iswa: creating     SWA KV cache, size = 1536 cells
llama_kv_cache: layer   0: dev = CPU
llama_kv_cache: size =    0.50 MiB (  1536 cells,   1 layers, 28/1 seqs), K (f16):    0.25 MiB, V (f16):    0.25 MiB
llama_memory_recurrent:        CPU RS buffer size =     0.03 MiB
sched_reserve:      CUDA0 compute buffer size =    10.00 MiB
sched_reserve:  CUDA_Host compute buffer size =     2.00 MiB
"""


def test_a_load_on_several_devices_is_understood() -> None:
    found = parse(GPU_LOAD.splitlines())
    assert found.layers == ["CPU", "CUDA0", "CUDA0", "CUDA1"]
    assert found.caches == {"CUDA0": 2 * MIB, "CUDA1": MIB, "CPU": MIB // 2}
    assert found.of("compute", "output") == {"CUDA0": 10 * MIB, "CUDA_Host": round(2.25 * MIB)}
    assert found.of("RS") == {"CPU": round(0.03 * MIB)}
    assert found.unused == {"blk.3.nextn.eh_proj.weight"}
    assert found.is_mapped
    assert found.repacks


def test_the_last_context_counts() -> None:
    found = parse([*GPU_LOAD.splitlines(), "llama_context: constructing llama_context"])
    assert not found.caches
    assert not found.of("compute", "output", "RS")
    assert found.of("model")["CUDA0"] == 8 * MIB


def test_a_cache_whose_layers_are_not_named_is_the_hosts() -> None:
    assert parse(["llama_kv_cache: size =  1.00 MiB (256 cells, 1 layers)"]).caches == {"CPU": MIB}


@pytest.mark.parametrize("line", ["", "llama_kv_cache: size = many MiB", "sched_reserve: compute buffer size"])
def test_other_lines_are_passed_over(line: str) -> None:
    found = parse([line])
    assert (found.layers, found.caches, found.buffers) == ([], {}, {})


def test_listening_hears_details_and_leaves_everything_as_it_was() -> None:
    native = logging.getLogger("app.engine.llama.native")
    before = native.level, native.handlers.copy()
    with listening() as heard:
        native.debug("a detail")
        native.error("a mistake")
    native.error("too late")
    assert (heard.lines, heard.errors) == (["a detail", "a mistake"], ["a mistake"])
    assert (native.level, native.handlers) == before


def test_what_is_heard_quietly_stays_out_of_the_programs_log(caplog: pytest.LogCaptureFixture) -> None:
    program = logging.getLogger("app.engine.llama.backend")
    with listening(quietly=True):
        program.warning("of a dry run")
    program.warning("of a load")
    assert [record.message for record in caplog.records] == ["of a load"]
