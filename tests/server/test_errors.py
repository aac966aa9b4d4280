from __future__ import annotations

import pytest

from app.domain import errors
from app.server.errors import http_problem, problem_of

KINDS = sorted(
    (value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.AppError)),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_place_in_the_table(kind: type[errors.AppError]) -> None:
    error = kind.__new__(kind)
    error.args = ("It broke.",)
    vars(error).update(param=None, retry_after_s=1.0)
    problem = problem_of(error)
    # A model that can't be used is the request's affair too: it names the model.
    callers = (errors.RequestError, errors.ModelLoadFailed, errors.NotAModel)
    assert problem.status in ((400, 404) if issubclass(kind, callers) else (429, 500, 503))
    assert set(problem.body()["error"]) == {"message", "type", "param", "code"}
    assert problem.body()["error"]["message"] == "It broke."


def test_a_full_context_says_both_numbers() -> None:
    problem = problem_of(errors.ContextOverflow(n_prompt=9000, n_ctx=4096))
    assert (problem.status, problem.code, problem.param) == (400, "context_length_exceeded", "messages")
    assert "9000" in problem.message
    assert "4096" in problem.message


def test_an_unknown_model_is_what_openai_calls_it() -> None:
    problem = problem_of(errors.ModelNotFound("gpt-9", near=("gpt-oss",)))
    assert (problem.status, problem.code, problem.param) == (404, "model_not_found", "model")
    assert "gpt-oss" in problem.message


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (2.1, "3"), (30.0, "30")])
def test_a_full_queue_says_when_to_come_back(seconds: float, header: str) -> None:
    problem = problem_of(errors.EngineBusy(retry_after_s=seconds))
    assert (problem.status, problem.headers) == (429, (("retry-after", header),))


def test_a_crash_is_not_to_be_tried_again() -> None:
    problem = problem_of(errors.EngineCrashed(exit_code=-6, log_tail=("GGML_ASSERT(secret)",)))
    assert problem.status == 500
    assert ("x-should-retry", "false") in problem.headers
    assert "GGML_ASSERT" not in problem.message


def test_an_unusual_status_keeps_the_shape() -> None:
    assert http_problem(418, "A teapot.").type == "invalid_request_error"
    assert http_problem(507, "Full.").type == "server_error"
