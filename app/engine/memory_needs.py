"""From what llama.cpp says of a dry run to what each device has to hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from app.domain.memory import HOST, Device, DeviceNeed
from app.engine.llama.allocations import Allocations
from app.engine.llama.gguf_file import GgufFile, Tensor
from app.engine.memory_plan import margin_of

__all__ = ["ModelParts", "needs_of"]

# Types whose matrices a processor may keep in an order of its own (ggml's q2_K, q4_0, q4_K, q5_K, q6_K, q8_0, iq4_nl, mxfp4).
_REPACKABLE = frozenset({10, 2, 12, 13, 14, 8, 20, 39})
_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ModelParts:
    """What is to be loaded. `has_output`: it writes, so that it needs an output matrix, its own or the input's."""

    weights: tuple[Tensor, ...]
    adapters: tuple[Tensor, ...] = ()
    projector: GgufFile | None = None
    has_output: bool = True


def needs_of(
    parts: ModelParts,
    model: Allocations,
    context: Allocations,
    devices: Sequence[Device],
    *,
    beside: Mapping[str, int] = _NOTHING,
) -> tuple[DeviceNeed, ...]:
    """One need for each of `devices` that is used, and for the host. `beside` is what a draft model takes of each."""
    weights = _weights_by_device(parts, model)
    kv = context.caches + _by_device(context.of("RS"), devices)
    compute = _by_device(context.of("compute", "output"), devices)
    seeing = next((name for name in model.layers if name != HOST), HOST)
    projector = {seeing: _projector_bytes(parts.projector)} if parts.projector is not None else {}
    sizes = {name: (weights[name], kv[name], compute[name], projector.get(name, 0)) for name in (d.name for d in devices)}
    taken = {name: sum(parts) + beside.get(name, 0) for name, parts in sizes.items()}
    shared = sum(taken[device.name] for device in devices if device.shares_host_memory)
    return tuple(
        DeviceNeed(
            device.name,
            *sizes[device.name],
            shared_bytes=shared if device.name == HOST else 0,
            free_bytes=device.free_bytes,
            margin_bytes=margin_of(device),
            draft_bytes=beside.get(device.name, 0),
        )
        for device in devices
        if device.name == HOST or taken[device.name]
    )


def _weights_by_device(parts: ModelParts, model: Allocations) -> Counter[str]:
    layers = model.layers
    weights: Counter[str] = Counter()
    for tensor in (*parts.weights, *parts.adapters):
        if tensor.name not in model.unused:
            weights[_place_of(tensor.name, layers)] += tensor.size_bytes
    embedding = next((tensor for tensor in parts.weights if tensor.name == "token_embd.weight"), None)
    tied = embedding is not None and all(tensor.name != "output.weight" for tensor in parts.weights)
    if embedding is not None and tied and parts.has_output and layers:
        # The same matrix serves at both ends, and is kept twice where they are not of one kind.
        twice = layers[-1] != HOST or (model.repacks and embedding.type in _REPACKABLE)
        weights[layers[-1]] += embedding.size_bytes if twice else 0
    return weights


def _place_of(tensor: str, layers: Sequence[str]) -> str:
    """The device a tensor goes to, by its name. What the input needs stays with the host."""
    first, _, rest = tensor.partition(".")
    if not layers:
        return HOST
    if first == "blk":
        number = rest.partition(".")[0]
        return layers[min(int(number), len(layers) - 1)] if number.isdigit() else HOST
    return layers[-1] if first.startswith(("output", "cls", "dense_")) else HOST


def _by_device(buffers: Counter[str], devices: Iterable[Device]) -> Counter[str]:
    placed: Counter[str] = Counter()
    for buffer, size in buffers.items():
        placed[_device_of(buffer, devices)] += size
    return placed


def _device_of(buffer: str, known: Iterable[Device]) -> str:
    """Buffers are called after their device, those of the host that a device can reach quickly `…_Host`."""
    for device in known:
        if device.is_gpu and (buffer == device.name or buffer.startswith(f"{device.name}_")) and not buffer.endswith("_Host"):
            return device.name
    return HOST


def _projector_bytes(projector: GgufFile) -> int:
    """Its tensors, and roughly what encoding a picture of its own size takes."""
    numbers = projector.numbers
    size, patch = numbers.get("clip.vision.image_size", 0), numbers.get("clip.vision.patch_size", 0)
    patches = (size // patch) ** 2 if patch else 0
    width, inner = numbers.get("clip.vision.embedding_length", 0), numbers.get("clip.vision.feed_forward_length", 0)
    # Floats that live at one time: the picture, and beside it its unfolded patches or a layer's input and inner values.
    picture = 3 * size * size
    return projector.size_bytes + 4 * (picture + max(picture, patches * (width + max(inner, 3 * width))))
