"""What schemathesis can't know: which models there are, and that long answers only take time."""

from __future__ import annotations

from typing import Any

import schemathesis

LIMITS = {
    "/v1/chat/completions": "max_tokens",
    "/v1/completions": "max_tokens",
    "/v1/messages": "max_tokens",
    "/v1/responses": "max_output_tokens",
}
MOST_TOKENS = 4


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Name a model where any would do, in most cases: an unknown one is found out before anything else."""
    body, path = case.body, case.operation.path
    if not isinstance(body, dict):
        return
    if isinstance(body.get("model"), str) and 2 < len(body["model"]) <= 512:
        body["model"] = "all-minilm" if path == "/v1/embeddings" else "ember"
    name = LIMITS.get(path)
    limit = body.get(name) if name else 0
    if name and (limit is None or (isinstance(limit, int) and limit > MOST_TOKENS)):
        body[name] = MOST_TOKENS
