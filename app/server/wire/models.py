"""How models are listed."""

from __future__ import annotations

import dataclasses
from typing import Any

from app.domain.models import InstalledModel, LoadedModel, ModelSource, ModelState

__all__ = ["model_body"]


def model_body(model: InstalledModel, loaded: LoadedModel) -> dict[str, Any]:
    """OpenAI's four fields, and what clients look for in local servers. `context_length` is what the model is loaded with, or
    else the most it was trained for."""
    loaded_context = loaded.n_ctx if loaded.state is ModelState.READY else None
    return {
        "id": model.id,
        "object": "model",
        "created": int(model.modified.timestamp()),
        "owned_by": _owner(model),
        "context_length": loaded_context or model.n_ctx_train or None,
        "max_context_length": model.n_ctx_train or None,
        "loaded_context_length": loaded_context,
        "capabilities": sorted(capability.value for capability in model.capabilities),
        "architecture": model.architecture,
        "quantization": model.quantization,
        "size_bytes": model.size_bytes,
        "state": loaded.state.value,
        "warning": loaded.warning,
        "active_requests": loaded.active_requests if loaded.state is ModelState.READY else None,
        "memory_bytes": loaded.memory_bytes or None,
        "gpu_layers": loaded.n_gpu_layers if loaded.state is ModelState.READY else None,
        "unload_at": loaded.unload_at.isoformat() if loaded.unload_at is not None else None,
        "stats": dataclasses.asdict(loaded.stats) if loaded.stats is not None else None,
    }


def _owner(model: InstalledModel) -> str:
    if model.source is ModelSource.BUILT_IN:
        return "hearth"
    owner, slash, _ = model.id.partition("/")
    return owner if slash else "local"
