"""Which layers and how long a context: arithmetic on plans that somebody else measures.

A `Measure` says what a number of layers on the GPUs and a number of cells would take. Asking about other cells costs 15 ms,
about another number of layers up to half a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from app.domain.fit import shortage
from app.domain.memory import HOST, Device, DeviceNeed, MemoryPlan

__all__ = ["Measure", "Wish", "choose", "extrapolated", "margin_of", "refusal", "smaller"]

Measure: TypeAlias = Callable[[int, int], MemoryPlan]
"""Layers on GPUs, cells → plan."""

_MIB = 1024 * 1024
_GIB = 1024 * _MIB
# A long conversation, at a cost of about 1 GiB on an 8B model.
_ENOUGH_CELLS = 8192
_MOST_CELLS = 131_072
# Tried where memory is short.
_FEWER_CELLS = (4096, 2048, 512)
_STEP = 1024
# Guesses at a number of layers before it is halved for.
_NEAR_GUESSES = 3
# For a context beyond the usual: of the memory that is left, which other programs want too, and of what the weights take.
_CONTEXT_SHARE = 0.25
_WEIGHTS_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. `n_ctx` 0 and `n_gpu_layers` None are ours to choose; `most_ctx` is more than which nothing needs,
    `least_ctx` fewer than which must not be chosen.

    `n_layers` is how many layers could be on a GPU, 0 without one.
    """

    n_ctx: int
    n_gpu_layers: int | None
    n_layers: int
    most_ctx: int
    least_ctx: int = 0

    @property
    def layers(self) -> int:
        return self.n_layers if self.n_gpu_layers is None else self.n_gpu_layers

    @property
    def enough_ctx(self) -> int:
        return self.n_ctx or min(max(_ENOUGH_CELLS, self.least_ctx), self.most_ctx)

    @property
    def fewer_ctx(self) -> list[int]:
        """What may be tried where memory is too short for `enough_ctx`, the longest first."""
        fewer = {*_FEWER_CELLS, self.least_ctx} - {0}
        return [n for n in sorted(fewer, reverse=True) if self.least_ctx <= n < self.enough_ctx]


def choose(measure: Measure, wish: Wish) -> MemoryPlan:
    """The best plan that fits; if none does, the smallest there is.

    A shorter context comes before fewer layers on the GPU, which cost speed; a context too short to talk comes last.
    """
    for plan in _best_first(measure, wish):
        if plan.fits:
            break
    return replace(plan, wanted_layers=wish.layers, wanted_ctx=wish.enough_ctx)


def _best_first(measure: Measure, wish: Wish) -> Iterator[MemoryPlan]:
    """What could be tried, each measured only when it comes to that."""
    partly = wish.n_gpu_layers is None and wish.layers > 0
    if wish.n_ctx:
        yield measure(wish.layers, wish.n_ctx)
        if partly:
            yield _most_layers(measure, wish, wish.n_ctx)
        return
    yield _longest(measure, wish)
    fewer = wish.fewer_ctx
    if partly:
        yield from (measure(wish.layers, n) for n in fewer[:1])
        yield from (_most_layers(measure, wish, n) for n in (wish.enough_ctx, *fewer))
    else:
        yield from (measure(wish.layers, n) for n in fewer)


def _longest(measure: Measure, wish: Wish) -> MemoryPlan:
    """Enough for a conversation; more, up to what is of use, while it takes only a part of what is left."""
    enough = measure(wish.layers, wish.enough_ctx)
    most = min(wish.most_ctx, _MOST_CELLS)
    if most <= enough.n_ctx or not enough.fits:
        return enough
    whole = measure(wish.layers, most)
    more = max(1, whole.total_bytes - enough.total_bytes)
    weights = sum(need.weights_bytes for need in enough.needs)
    share = min(_WEIGHTS_SHARE * weights / more, *(_share(need, whole.need_of(need.device)) for need in enough.needs))
    if enough.limit_bytes:
        share = min(share, _CONTEXT_SHARE * (enough.limit_bytes - enough.total_bytes) / more)
    cells = enough.n_ctx + int((most - enough.n_ctx) * min(1.0, share)) // _STEP * _STEP
    if share >= 1.0:
        cells = most
    longer = measure(wish.layers, cells)
    return longer if longer.fits else enough


def _share(enough: DeviceNeed, whole: DeviceNeed | None) -> float:
    """How much of the way from `enough` to `whole` this device can go."""
    more = whole.total_bytes - enough.total_bytes if whole is not None else 0
    return _CONTEXT_SHARE * enough.room_bytes / more if more > 0 else 1.0


def _most_layers(measure: Measure, wish: Wish, n_ctx: int) -> MemoryPlan:
    """As many layers on the GPUs as they hold; the host holds the others, or the plan does not fit.

    Layers are nearly alike, so a guess in proportion is right or nearly so, and asking is dear.
    """
    whole = measure(wish.layers, n_ctx)
    if whole.gpus_fit:
        return whole
    low, high = 0, wish.layers - 1
    guess = int(wish.layers * min(_part(need) for need in whole.needs if need.device != HOST))
    for n_asked in range(wish.layers):
        if low >= high:
            break
        layers = (low + high + 1) // 2 if n_asked > _NEAR_GUESSES else min(max(guess, low + 1), high)
        if measure(layers, n_ctx).gpus_fit:
            low, guess = layers, layers + 1
        else:
            high, guess = layers - 1, layers - 1
    return measure(low, n_ctx)


def _part(need: DeviceNeed) -> float:
    """How much of a need its device could hold."""
    return (need.total_bytes + need.room_bytes) / max(1, need.total_bytes)


def smaller(plan: MemoryPlan, wish: Wish) -> tuple[int, int] | None:
    """Layers and cells for another try after memory ran out in spite of the plan; None if nothing is ours to change."""
    layers, cells = plan.n_gpu_layers, plan.n_ctx
    if wish.n_gpu_layers is None:
        layers = layers * 3 // 4
    if not wish.n_ctx:
        cells = max(min(cells, _FEWER_CELLS[-1]), cells // 2, wish.least_ctx)
    return (layers, cells) if (layers, cells) != (plan.n_gpu_layers, plan.n_ctx) else None


def extrapolated(near: MemoryPlan, far: MemoryPlan, n_ctx: int) -> MemoryPlan:
    """A plan for a context too long to try: caches and buffers grow in proportion."""
    steps = (n_ctx - far.n_ctx) / (far.n_ctx - near.n_ctx)
    needs = []
    for need in far.needs:
        before = near.need_of(need.device) or need
        kv = need.kv_bytes + round(steps * (need.kv_bytes - before.kv_bytes))
        compute = need.compute_bytes + round(steps * (need.compute_bytes - before.compute_bytes))
        needs.append(replace(need, kv_bytes=kv, compute_bytes=compute))
    return replace(far, n_ctx=n_ctx, needs=tuple(needs))


def margin_of(device: Device) -> int:
    """What is not planned for: the driver's own memory, other programs, this process itself."""
    least, most = (256 * _MIB, _GIB) if device.is_gpu else (512 * _MIB, 2 * _GIB)
    return min(most, max(least, device.total_bytes // 16))


# ------------------------------------------------------------------------------------------------------------- in words
def refusal(plan: MemoryPlan, wish: Wish, measure: Measure) -> str:
    """Why a plan does not fit, with its numbers and what can be changed."""
    short = [need for need in plan.needs if not need.fits]
    return f"{shortage(plan)}. {_advice(plan, wish, measure, short)}"


def _advice(plan: MemoryPlan, wish: Wish, measure: Measure, short: Sequence[DeviceNeed]) -> str:
    advice = []
    longest = _longest_that_fits(plan, wish, measure)
    if longest:
        advice.append(f"A context of {longest} tokens would fit.")
    if any(need.device != HOST for need in short) and wish.n_gpu_layers is not None:
        advice.append(f"Put fewer than {plan.n_gpu_layers} layers on the GPU, or let Hearth choose.")
    ways = [*(["raise the memory limit"] if plan.over_limit_bytes else []), *(["close other programs"] if short else [])]
    advice.append(f"{', '.join((*ways, 'unload other models'))}, or choose a smaller quantization.".capitalize())
    advice.append("To try it all the same, switch memory_check off in settings.json, or serve with --no-memory-check.")
    return " ".join(advice)


def _longest_that_fits(plan: MemoryPlan, wish: Wish, measure: Measure) -> int:
    """Where a context was asked for: the longest that would do, roughly; 0 if none would, or it is not the context's fault."""
    if (wish.n_ctx or wish.least_ctx) <= _STEP:
        return 0
    low = measure(plan.n_gpu_layers, _FEWER_CELLS[-1])
    if not low.fits:
        return 0
    cells = plan.n_ctx
    for need in plan.needs:
        before = low.need_of(need.device) or need
        more = need.total_bytes - before.total_bytes
        if not need.fits and more > 0:
            cells = min(cells, low.n_ctx + int((plan.n_ctx - low.n_ctx) * before.room_bytes / more))
    more = plan.total_bytes - low.total_bytes
    if plan.over_limit_bytes and more > 0:
        cells = min(cells, low.n_ctx + int((plan.n_ctx - low.n_ctx) * (plan.limit_bytes - low.total_bytes) / more))
    return cells // 256 * 256
