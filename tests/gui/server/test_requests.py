from __future__ import annotations

from datetime import UTC, datetime

import pytest
from PySide6.QtCore import QLocale, Qt
from pytestqt.modeltest import ModelTester

from app.gui.server.requests import RequestsModel
from app.service.activity import RequestRecord

_NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def english() -> None:
    QLocale.setDefault(QLocale.c())


def _row(model: RequestsModel, row: int) -> list[str]:
    return [model.index(row, column).data() for column in range(model.columnCount())]


def test_a_request_shows_first_as_running_and_then_with_its_figures() -> None:
    model = RequestsModel()
    model.put(RequestRecord("1", _NOW, "/v1/chat/completions", "ember"))
    assert _row(model, 0)[1:] == ["chat/completions", "ember", "running", "", "", ""]
    model.put(RequestRecord("1", _NOW, "POST /v1/chat/completions", "ember", 200, 120, 48, 23.44, 2.1))
    assert model.rowCount() == 1
    assert _row(model, 0)[1:] == ["POST chat/completions", "ember", "200", "120 + 48", "23.4", "2.1 s"]


def test_the_newest_is_first_and_only_the_latest_are_kept() -> None:
    model = RequestsModel()
    for number in range(230):
        model.put(RequestRecord(str(number), _NOW, "/v1/models", str(number), 200))
    assert model.rowCount() == 200
    assert _row(model, 0)[2] == "229"


def test_a_failed_request_is_marked_and_says_why() -> None:
    model = RequestsModel()
    model.put(RequestRecord("1", _NOW, "/v1/chat/completions", "nope", 404, error="The model 'nope' is not installed."))
    assert model.index(0, 3).data(Qt.ItemDataRole.ForegroundRole) is not None
    assert "not installed" in model.index(0, 0).data(Qt.ItemDataRole.ToolTipRole)


def test_what_a_client_wrote_is_no_html_in_the_tooltip() -> None:
    model = RequestsModel()
    error = "The model '<img src=http://example.org/a.png>' is not installed."
    model.put(RequestRecord("1", _NOW, "/v1/chat/completions", "nope", 404, error=error))
    assert "<img" not in model.index(0, 0).data(Qt.ItemDataRole.ToolTipRole)


def test_a_request_says_with_which_key_it_came() -> None:
    model = RequestsModel()
    model.put(RequestRecord("1", _NOW, "/v1/models", "", 200, key="Obsidian"))
    assert "Obsidian" in model.index(0, 0).data(Qt.ItemDataRole.ToolTipRole)


def test_the_table_keeps_qts_rules(qtmodeltester: ModelTester) -> None:
    model = RequestsModel()
    model.put(RequestRecord("1", _NOW, "/v1/models", "", 200))
    qtmodeltester.check(model)
