from __future__ import annotations

from typing import Any

from app.domain.generation import RerankResult, Truncation
from app.server.wire.rerank import RerankBody, rerank_request, reranking


def body(**changes: Any) -> RerankBody:
    return RerankBody.model_validate({"model": "ranker", "query": "q", "documents": ["a", "b", "c"], **changes})


def ranking(scores: tuple[float, ...], **changes: Any) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = reranking(body(**changes), RerankResult(scores, 9))["results"]
    return results


def test_documents_are_texts_or_objects_with_a_text() -> None:
    assert rerank_request(body(documents=["a", {"text": "b", "id": 7}], truncate="START")).documents == ("a", "b")
    assert rerank_request(body(truncate="START")).truncation is Truncation.START


def test_the_best_come_first_and_equals_in_their_order() -> None:
    assert [entry["index"] for entry in ranking((0.1, 0.9, 0.1))] == [1, 0, 2]
    assert [entry["index"] for entry in ranking((0.1, 0.9, 0.3), top_n=2)] == [1, 2]
    assert len(ranking((0.1, 0.9, 0.3), top_n=99)) == 3


def test_documents_come_back_where_they_are_asked_for() -> None:
    (first, *_) = ranking((0.1, 0.9, 0.3), documents=["a", {"text": "b"}, "c"], return_documents=True)
    assert first == {"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}
    assert "document" not in ranking((0.1, 0.9, 0.3))[0]


def test_the_answer_counts_its_tokens() -> None:
    answer = reranking(body(), RerankResult((0.1, 0.9, 0.3), 9))
    assert answer["object"] == "list"
    assert answer["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
