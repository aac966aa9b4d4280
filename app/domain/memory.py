"""Memory: the devices of this computer, and what a model takes of each."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["HOST", "Device", "DeviceKind", "DeviceNeed", "MemoryPlan"]

# The computer's own memory, as a device among others.
HOST = "CPU"


class DeviceKind(enum.Enum):
    CPU = 0
    GPU = 1
    INTEGRATED_GPU = 2
    ACCELERATOR = 3


@dataclass(frozen=True, slots=True)
class Device:
    """Something that computes. Memory figures are 0 where the device does not tell."""

    name: str
    description: str
    kind: DeviceKind
    free_bytes: int
    total_bytes: int

    @property
    def is_gpu(self) -> bool:
        return self.kind in (DeviceKind.GPU, DeviceKind.INTEGRATED_GPU)

    @property
    def shares_host_memory(self) -> bool:
        """Whether what it takes is taken from the computer's own memory. Metal calls itself a GPU like any other."""
        return self.kind is DeviceKind.INTEGRATED_GPU or (self.is_gpu and self.name.startswith(("MTL", "Metal")))


@dataclass(frozen=True, slots=True)
class DeviceNeed:
    """What a model takes of one device, and what there is. `shared_bytes` is what other devices take of the same memory.

    `draft_bytes` is all that a draft model takes, its context included.
    """

    device: str
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    projector_bytes: int = 0
    shared_bytes: int = 0
    free_bytes: int = 0
    margin_bytes: int = 0
    draft_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.compute_bytes + self.projector_bytes + self.draft_bytes

    @property
    def room_bytes(self) -> int:
        """What is left when the model is loaded and the margin is kept; below 0 it does not fit."""
        return self.free_bytes - self.margin_bytes - self.shared_bytes - self.total_bytes

    @property
    def fits(self) -> bool:
        return self.room_bytes >= 0


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What loading a model one certain way takes.

    `n_layers` counts the output as one; `n_gpu_layers` of them are on GPUs. `needs` has the GPUs in use first, then the host.
    `limit_bytes` bounds the sum of all devices; 0 does not. `wanted_layers` and `wanted_ctx` are what a computer with more
    memory would have got.
    """

    n_ctx: int
    n_gpu_layers: int
    n_layers: int
    needs: tuple[DeviceNeed, ...]
    limit_bytes: int = 0
    wanted_layers: int = 0
    wanted_ctx: int = 0

    @property
    def total_bytes(self) -> int:
        return sum(need.total_bytes for need in self.needs)

    @property
    def over_limit_bytes(self) -> int:
        return max(0, self.total_bytes - self.limit_bytes) if self.limit_bytes else 0

    @property
    def fits(self) -> bool:
        return not self.over_limit_bytes and all(need.fits for need in self.needs)

    @property
    def short_bytes(self) -> int:
        """How much memory it lacks, the margins included; 0 if it fits."""
        lacking = [-need.room_bytes for need in self.needs if not need.fits]
        # Where devices share one memory, the host's need counts all of it.
        shares = any(need.shared_bytes for need in self.needs)
        return max(self.over_limit_bytes, max(lacking, default=0) if shares else sum(lacking))

    @property
    def gpus_fit(self) -> bool:
        return all(need.fits for need in self.needs if need.device != HOST)

    @property
    def is_cramped(self) -> bool:
        """Whether more memory would make it faster, or its context longer than a talk needs."""
        return not self.fits or self.n_gpu_layers < self.wanted_layers or self.n_ctx < self.wanted_ctx

    def need_of(self, device: str) -> DeviceNeed | None:
        return next((need for need in self.needs if need.device == device), None)
