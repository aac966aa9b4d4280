"""What schemathesis can't know: which models there are."""

from __future__ import annotations

from typing import Any

import schemathesis

MODELS = {"/v1/embeddings": "all-minilm", "/v1/models/{model_id}": "ember"}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Name a model where any would do, in most cases: an unknown one is found out before anything else."""
    body = case.body
    if isinstance(body, dict) and isinstance(body.get("model"), str) and 2 < len(body["model"]) <= 512:
        body["model"] = MODELS.get(case.operation.path, "ember")
