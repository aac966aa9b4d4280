"""Test suites that others wrote, each run against the program by one function."""

from tests.conformance.suites.anthropic_python import MESSAGE_TESTS
from tests.conformance.suites.langchain import LANGCHAIN
from tests.conformance.suites.openai_python import API_TESTS, EXAMPLES, RESPONSE_TESTS
from tests.conformance.suites.outcomes import Suite

__all__ = ["SUITES"]

SUITES: tuple[Suite, ...] = (API_TESTS, RESPONSE_TESTS, EXAMPLES, LANGCHAIN, MESSAGE_TESTS)
