"""Choosing layers and a context, for computers that are not here: a GPU of 8 GiB, two of them, none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from app.domain.memory import HOST, Device, DeviceKind, DeviceNeed, MemoryPlan
from app.engine.memory_plan import Wish, choose, extrapolated, margin_of, refusal, smaller

MIB = 1024 * 1024
GIB = 1024 * MIB


@dataclass
class Computer:
    """What a model of equal layers takes here. Cells cost the device of their layer."""

    gpu_free: int = 0
    host_free: int = 32 * GIB
    layers: int = 33
    layer_bytes: int = 250 * MIB
    cell_bytes: int = 4096
    limit_bytes: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)

    def measure(self, n_gpu_layers: int, n_ctx: int) -> MemoryPlan:
        self.asked.append((n_gpu_layers, n_ctx))
        on_host = self.layers - n_gpu_layers
        needs = [self._need(HOST, on_host, n_ctx, self.host_free)]
        if n_gpu_layers:
            needs.insert(0, self._need("CUDA0", n_gpu_layers, n_ctx, self.gpu_free))
        return MemoryPlan(n_ctx, n_gpu_layers, self.layers, tuple(needs), self.limit_bytes)

    def _need(self, device: str, layers: int, n_ctx: int, free: int) -> DeviceNeed:
        return DeviceNeed(
            device, layers * self.layer_bytes, layers * self.cell_bytes * n_ctx, 100 * MIB, free_bytes=free, margin_bytes=GIB
        )

    def wish(self, *, n_ctx: int = 0, n_gpu_layers: int | None = None, most_ctx: int = 4 * 32768, least_ctx: int = 0) -> Wish:
        return Wish(n_ctx, n_gpu_layers, self.layers if self.gpu_free else 0, most_ctx, least_ctx)


def test_all_layers_go_to_a_gpu_that_holds_them() -> None:
    computer = Computer(gpu_free=24 * GIB)
    plan = choose(computer.measure, computer.wish())
    assert plan.fits
    assert plan.n_gpu_layers == 33
    assert not plan.is_cramped


def test_as_many_layers_as_fit_go_to_a_smaller_gpu_and_the_rest_to_the_host() -> None:
    # 24 layers of 250 MiB and 32 MiB of cells, 100 MiB to compute and 1 GiB to spare.
    computer = Computer(gpu_free=24 * 282 * MIB + 100 * MIB + GIB + 281 * MIB)
    plan = choose(computer.measure, computer.wish())
    assert plan.fits
    assert (plan.n_gpu_layers, plan.n_ctx) == (24, 8192)
    assert plan.is_cramped
    assert not computer.measure(25, 8192).fits


def test_a_shorter_context_comes_before_fewer_layers() -> None:
    computer = Computer(gpu_free=33 * 266 * MIB + 100 * MIB + GIB)
    plan = choose(computer.measure, computer.wish())
    assert (plan.n_gpu_layers, plan.n_ctx) == (33, 4096)


def test_a_chosen_context_is_kept_and_costs_layers() -> None:
    computer = Computer(gpu_free=8 * GIB)
    plan = choose(computer.measure, computer.wish(n_ctx=32768))
    assert plan.fits
    assert plan.n_ctx == 32768
    assert 0 < plan.n_gpu_layers < 33


def test_a_context_that_must_be_had_is_chosen_and_costs_layers() -> None:
    computer = Computer(gpu_free=8 * GIB)
    plan = choose(computer.measure, computer.wish(least_ctx=20_000))
    assert plan.fits
    assert plan.n_ctx == 20_000
    assert 0 < plan.n_gpu_layers < 33


def test_where_memory_is_short_no_fewer_cells_are_tried_than_must_be_had() -> None:
    computer = Computer(host_free=33 * 254 * MIB + 32 * MIB + 100 * MIB + GIB)
    wish = computer.wish(least_ctx=3000)
    plan = choose(computer.measure, wish)
    assert (plan.n_ctx, plan.fits) == (3000, False)
    assert [n_ctx for _, n_ctx in computer.asked] == [8192, 4096, 3000]
    assert "A context of 1024 tokens would fit" in refusal(plan, wish, computer.measure)


def test_a_chosen_number_of_layers_is_kept_and_costs_context() -> None:
    computer = Computer(gpu_free=33 * 258 * MIB + 100 * MIB + GIB)
    plan = choose(computer.measure, computer.wish(n_gpu_layers=33))
    assert (plan.n_gpu_layers, plan.n_ctx, plan.fits) == (33, 2048, True)


def test_nothing_is_changed_of_what_was_asked_for() -> None:
    computer = Computer(gpu_free=8 * GIB)
    plan = choose(computer.measure, computer.wish(n_ctx=65536, n_gpu_layers=33))
    assert (plan.n_gpu_layers, plan.n_ctx, plan.fits) == (33, 65536, False)


def test_without_a_gpu_the_context_shrinks_until_the_host_holds_it() -> None:
    computer = Computer(host_free=33 * 251 * MIB + 32 * MIB + 100 * MIB + GIB)
    plan = choose(computer.measure, computer.wish())
    assert (plan.n_gpu_layers, plan.n_ctx, plan.fits) == (0, 512, False)
    computer.host_free += GIB
    plan = choose(computer.measure, computer.wish())
    assert (plan.n_ctx, plan.fits, plan.is_cramped) == (8192, True, False)


def test_a_model_too_large_for_gpu_and_host_does_not_fit() -> None:
    computer = Computer(gpu_free=4 * GIB, host_free=4 * GIB)
    plan = choose(computer.measure, computer.wish())
    assert not plan.fits
    assert plan.n_ctx == 512


def test_much_room_gives_a_longer_context_but_not_all_of_the_room() -> None:
    computer = Computer(host_free=128 * GIB)
    plan = choose(computer.measure, computer.wish())
    assert 8192 < plan.n_ctx < 131072
    need = plan.needs[0]
    assert need.kv_bytes < need.weights_bytes
    assert plan.n_ctx % 1024 == 0


def test_more_context_than_all_requests_could_fill_is_never_made() -> None:
    computer = Computer(host_free=512 * GIB, layer_bytes=GIB)
    assert choose(computer.measure, computer.wish(most_ctx=4 * 2048)).n_ctx == 8192
    assert choose(computer.measure, computer.wish(most_ctx=1000)).n_ctx == 1000


def test_a_limit_for_all_models_shortens_the_context_and_refuses_the_rest() -> None:
    computer = Computer(limit_bytes=33 * 266 * MIB + 100 * MIB)
    assert choose(computer.measure, computer.wish()).n_ctx == 4096
    computer.limit_bytes = GIB
    assert not choose(computer.measure, computer.wish()).fits


@pytest.mark.parametrize("gpu_free", [1, 2, 5, 9, 14])
def test_layers_are_found_with_few_questions(gpu_free: int) -> None:
    computer = Computer(gpu_free=gpu_free * GIB, layers=81)
    plan = choose(computer.measure, computer.wish())
    assert plan.fits
    assert not computer.measure(plan.n_gpu_layers + 1, plan.n_ctx).gpus_fit
    assert len({layers for layers, _ in computer.asked}) <= 5


def test_layers_of_unequal_size_are_found_too() -> None:
    class Lopsided(Computer):
        def measure(self, n_gpu_layers: int, n_ctx: int) -> MemoryPlan:
            self.layer_bytes = 600 * MIB if n_gpu_layers > 30 else 50 * MIB
            return super().measure(n_gpu_layers, n_ctx)

    plan = choose(Lopsided(gpu_free=6 * GIB).measure, Computer(gpu_free=1).wish())
    assert plan.n_gpu_layers == 30


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (Wish(0, None, 33, 32768), (24, 4096)),
        (Wish(0, 33, 33, 32768), (33, 4096)),
        (Wish(0, 33, 33, 32768, least_ctx=6000), (33, 6000)),
        (Wish(8192, None, 33, 32768), (24, 8192)),
        (Wish(8192, 33, 33, 32768), None),
    ],
)
def test_another_try_changes_only_what_was_not_asked_for(wish: Wish, expected: tuple[int, int] | None) -> None:
    plan = replace(Computer(gpu_free=24 * GIB).measure(33, 8192))
    assert smaller(plan, wish) == expected


def test_a_small_context_gets_no_smaller() -> None:
    assert smaller(Computer().measure(0, 512), Wish(0, 0, 0, 512)) is None


def test_a_context_too_long_to_try_is_extrapolated() -> None:
    computer = Computer()
    near, far = computer.measure(0, 1000), computer.measure(0, 2000)
    assert extrapolated(near, far, 50_000) == computer.measure(0, 50_000)


def test_a_refusal_has_the_numbers_and_what_to_change() -> None:
    computer = Computer(host_free=8 * GIB)
    wish = computer.wish()
    reason = refusal(choose(computer.measure, wish), wish, computer.measure)
    assert "8.2 GiB of memory" in reason
    assert "8.1 GiB for the weights" in reason
    assert "512 tokens" in reason
    assert "8.0 GiB are free, of which 1.0 GiB" in reason
    assert "smaller quantization" in reason


def test_a_refusal_of_a_long_context_says_which_would_fit() -> None:
    computer = Computer(host_free=12 * GIB)
    wish = computer.wish(n_ctx=200_000)
    reason = refusal(choose(computer.measure, wish), wish, computer.measure)
    longest = int(reason.partition("A context of ")[2].split()[0])
    assert computer.measure(0, longest).fits
    assert not computer.measure(0, longest + 1024).fits


def test_a_refusal_of_layers_names_the_gpu() -> None:
    computer = Computer(gpu_free=4 * GIB)
    wish = computer.wish(n_gpu_layers=33)
    reason = refusal(choose(computer.measure, wish), wish, computer.measure)
    assert "memory on CUDA0" in reason
    assert "fewer than 33 layers" in reason


def test_a_refusal_by_the_limit_names_it() -> None:
    computer = Computer(limit_bytes=GIB)
    wish = computer.wish()
    reason = refusal(choose(computer.measure, wish), wish, computer.measure)
    assert "the memory limit leaves 1.0 GiB" in reason
    assert "Raise the memory limit" in reason


@pytest.mark.parametrize(
    ("kind", "total", "margin"),
    [
        (DeviceKind.GPU, 4 * GIB, 256 * MIB),
        (DeviceKind.GPU, 24 * GIB, GIB),
        (DeviceKind.CPU, 4 * GIB, 512 * MIB),
        (DeviceKind.CPU, 16 * GIB, GIB),
        (DeviceKind.CPU, 256 * GIB, 2 * GIB),
    ],
)
def test_a_margin_grows_with_the_device_within_bounds(kind: DeviceKind, total: int, margin: int) -> None:
    assert margin_of(Device("x", "", kind, total, total)) == margin
