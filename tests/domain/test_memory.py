from __future__ import annotations

import dataclasses

import pytest

from app.domain.memory import HOST, Device, DeviceKind, DeviceNeed, MemoryPlan

NEED = DeviceNeed("CUDA0", 50, 20, 10, projector_bytes=5, free_bytes=100, margin_bytes=10)
PLAN = MemoryPlan(4096, 3, 3, (NEED, DeviceNeed(HOST, 10, 0, 5, free_bytes=100)), wanted_layers=3, wanted_ctx=4096)


def test_a_need_is_the_sum_of_its_parts_and_leaves_a_margin() -> None:
    assert (NEED.total_bytes, NEED.room_bytes, NEED.fits) == (85, 5, True)
    assert not dataclasses.replace(NEED, margin_bytes=16).fits


def test_what_others_take_of_the_same_memory_is_gone() -> None:
    assert not dataclasses.replace(NEED, shared_bytes=6).fits


def test_a_plan_fits_where_every_device_holds_its_part() -> None:
    assert PLAN.fits
    assert PLAN.total_bytes == 100
    full = dataclasses.replace(PLAN, needs=(NEED, dataclasses.replace(PLAN.needs[1], free_bytes=1)))
    assert not full.fits
    assert full.gpus_fit


def test_a_limit_bounds_the_sum_of_all_devices() -> None:
    assert dataclasses.replace(PLAN, limit_bytes=100).fits
    tight = dataclasses.replace(PLAN, limit_bytes=90)
    assert (tight.fits, tight.over_limit_bytes) == (False, 10)


@pytest.mark.parametrize("change", [{"n_gpu_layers": 2}, {"n_ctx": 2048}, {"limit_bytes": 1}])
def test_a_plan_that_lacks_something_is_cramped(change: dict[str, int]) -> None:
    assert not PLAN.is_cramped
    assert dataclasses.replace(PLAN, **change).is_cramped


@pytest.mark.parametrize(
    ("name", "kind", "is_gpu", "shares"),
    [
        ("CPU", DeviceKind.CPU, False, False),
        ("CUDA0", DeviceKind.GPU, True, False),
        ("Vulkan1", DeviceKind.INTEGRATED_GPU, True, True),
        ("MTL0", DeviceKind.GPU, True, True),
        ("BLAS", DeviceKind.ACCELERATOR, False, False),
    ],
)
def test_which_devices_are_gpus_and_which_of_them_live_in_the_hosts_memory(
    name: str, kind: DeviceKind, is_gpu: bool, shares: bool
) -> None:
    device = Device(name, "", kind, 0, 0)
    assert (device.is_gpu, device.shares_host_memory) == (is_gpu, shares)
