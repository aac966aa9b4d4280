"""How models are listed."""

from __future__ import annotations

import dataclasses
from typing import Any

from app.domain.models import InstalledModel, ModelSource, ModelState
from app.service.descriptions import ModelDescription

__all__ = ["model_body"]


def model_body(described: ModelDescription) -> dict[str, Any]:
    """OpenAI's four fields, and what clients look for in local servers. `context_length` is what the model is loaded with, or
    else the most it was trained for; vLLM calls it `max_model_len`, and llama-server has both in `meta`."""
    model, loaded = described.model, described.loaded
    loaded_context = loaded.n_ctx if loaded.state is ModelState.READY else None
    return {
        "id": model.id,
        "object": "model",
        "created": int(model.modified.timestamp()),
        "owned_by": _owner(model),
        "aliases": list(described.aliases),
        "context_length": loaded_context or model.n_ctx_train or None,
        "max_context_length": model.n_ctx_train or None,
        "loaded_context_length": loaded_context,
        "max_model_len": loaded_context or model.n_ctx_train or None,
        "meta": {
            "n_ctx": loaded_context,
            "n_ctx_train": model.n_ctx_train or None,
            "n_params": model.parameters or None,
            "size": model.size_bytes,
        },
        "capabilities": sorted(capability.value for capability in described.capabilities),
        "architecture": model.architecture,
        "quantization": model.quantization,
        "size_bytes": model.size_bytes,
        "state": loaded.state.value,
        "warning": described.warning,
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
