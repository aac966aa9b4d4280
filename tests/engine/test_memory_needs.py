"""Where the parts of a model go, for computers with other devices than this one."""

from __future__ import annotations

from collections import Counter

import pytest

from app.domain.memory import HOST, Device, DeviceKind, DeviceNeed
from app.engine.llama.allocations import Allocations
from app.engine.llama.gguf_file import GgufFile, Tensor
from app.engine.memory_needs import ModelParts, needs_of

GIB = 1024**3
CPU = Device(HOST, "", DeviceKind.CPU, 16 * GIB, 32 * GIB)
CUDA0 = Device("CUDA0", "", DeviceKind.GPU, 8 * GIB, 8 * GIB)
CUDA1 = Device("CUDA1", "", DeviceKind.GPU, 8 * GIB, 8 * GIB)
VULKAN = Device("Vulkan0", "", DeviceKind.INTEGRATED_GPU, 8 * GIB, 16 * GIB)
F16, Q4_0 = 1, 2

WEIGHTS = (
    Tensor("token_embd.weight", F16, 1000),
    Tensor("output_norm.weight", F16, 10),
    Tensor("output.weight", F16, 1000),
    *(Tensor(f"blk.{layer}.attn_q.weight", F16, 100) for layer in range(4)),
)
TIED = tuple(tensor for tensor in WEIGHTS if tensor.name != "output.weight")
PROJECTOR = GgufFile((Tensor("v.blk.0.weight", F16, 70),), {}, {})


def _needs(parts: ModelParts, layers: list[str], *devices: Device, **kinds: Counter[str]) -> dict[str, DeviceNeed]:
    context = Allocations(caches=kinds.pop("caches", Counter()), buffers=kinds)
    return {need.device: need for need in needs_of(parts, Allocations(layers=layers), context, (*devices, CPU))}


def test_on_the_host_alone_everything_is_the_hosts() -> None:
    needs = _needs(ModelParts(WEIGHTS, projector=PROJECTOR), [HOST] * 5)
    assert needs.keys() == {HOST}
    assert (needs[HOST].weights_bytes, needs[HOST].projector_bytes) == (2410, 70)
    assert needs[HOST].free_bytes == 16 * GIB


def test_layers_and_output_go_to_their_devices_and_the_input_stays() -> None:
    parts = ModelParts(WEIGHTS, projector=PROJECTOR)
    needs = _needs(parts, [HOST, "CUDA0", "CUDA0", "CUDA1", "CUDA1"], CUDA0, CUDA1)
    weights = {name: need.weights_bytes for name, need in needs.items()}
    assert weights == {"CUDA0": 200, "CUDA1": 100 + 1010, HOST: 1000 + 100}
    assert needs["CUDA0"].projector_bytes == 70


def test_a_shared_matrix_is_kept_twice_where_output_and_input_are_apart() -> None:
    assert _needs(ModelParts(TIED), [HOST] * 5)[HOST].weights_bytes == 1410
    apart = _needs(ModelParts(TIED), ["CUDA0"] * 5, CUDA0)
    assert (apart["CUDA0"].weights_bytes, apart[HOST].weights_bytes) == (400 + 10 + 1000, 1000)


def test_a_shared_matrix_is_kept_twice_where_the_processor_reorders_its_type() -> None:
    tied = (Tensor("token_embd.weight", Q4_0, 1000), *TIED[1:])
    model = Allocations(layers=[HOST] * 5, buffers={"model": Counter({"CPU": 0, "CPU_REPACK": 0})})
    (need,) = needs_of(ModelParts(tied), model, Allocations(), (CPU,))
    assert need.weights_bytes == 2410
    (encoder,) = needs_of(ModelParts(tied, has_output=False), model, Allocations(), (CPU,))
    assert encoder.weights_bytes == 1410


def test_tensors_that_are_not_loaded_and_those_of_adapters_are_told_apart() -> None:
    parts = ModelParts(WEIGHTS, adapters=(Tensor("blk.3.attn_q.weight.lora_a", F16, 7),))
    model = Allocations(layers=[HOST] * 3 + ["CUDA0"] * 2, unused={"blk.0.attn_q.weight"})
    needs = {need.device: need for need in needs_of(parts, model, Allocations(), (CUDA0, CPU))}
    assert (needs["CUDA0"].weights_bytes, needs[HOST].weights_bytes) == (100 + 1010 + 7, 1200)


@pytest.mark.parametrize(
    ("buffer", "device"),
    [("CUDA0", "CUDA0"), ("CUDA0_Split", "CUDA0"), ("CUDA_Host", HOST), ("CUDA0_Host", HOST), ("CUDA10", HOST), ("CPU", HOST)],
)
def test_buffers_are_known_by_their_names(buffer: str, device: str) -> None:
    needs = _needs(ModelParts(WEIGHTS), ["CUDA0"] * 5, CUDA0, compute=Counter({buffer: 50}), output=Counter({HOST: 5}))
    assert needs[device].compute_bytes == 50 + (5 if device == HOST else 0)


def test_caches_and_states_count_as_context() -> None:
    needs = _needs(ModelParts(WEIGHTS), ["CUDA0"] * 5, CUDA0, caches=Counter({"CUDA0": 30}), RS=Counter({"CUDA0": 3, "CPU": 1}))
    assert (needs["CUDA0"].kv_bytes, needs[HOST].kv_bytes) == (33, 1)


def test_what_an_integrated_gpu_takes_is_taken_from_the_host() -> None:
    needs = _needs(ModelParts(WEIGHTS), ["Vulkan0"] * 5, VULKAN)
    assert needs[HOST].shared_bytes == needs["Vulkan0"].total_bytes == 1410
    assert _needs(ModelParts(WEIGHTS), ["CUDA0"] * 5, CUDA0)[HOST].shared_bytes == 0


def test_a_device_that_is_not_used_is_left_out() -> None:
    assert "CUDA1" not in _needs(ModelParts(WEIGHTS), ["CUDA0"] * 5, CUDA0, CUDA1)
