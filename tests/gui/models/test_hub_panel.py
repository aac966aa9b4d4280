from __future__ import annotations

from typing import Any, cast

import pytest
from PySide6.QtWidgets import QLabel
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.domain.errors import HubUnreachable
from app.gui.bridge import Bridge
from app.gui.models.hub_files import HubFilesModel
from app.gui.models.hub_panel import HubPanel
from app.service.services import Services
from tests.gui.stand_ins import StandInHub, a_repository


@pytest.fixture
def hub(services: Services) -> StandInHub:
    return cast(StandInHub, services.hub)


@pytest.fixture
def panel(qtbot: QtBot, services: Services, bridge: Bridge) -> HubPanel:
    made = HubPanel(services, bridge)
    qtbot.addWidget(made)
    made.resize(600, 500)
    made.show()
    return made


def _texts(panel: HubPanel) -> str:
    return "\n".join(label.text() for label in panel.findChildren(QLabel) if label.isVisible())


def _look_up(panel: HubPanel, qtbot: QtBot, name: str) -> None:
    panel.field.setText(name)
    panel.look_up_button.click()
    qtbot.waitUntil(panel.look_up_button.isEnabled)


def test_a_repository_shows_its_files_smallest_first_with_quantization_and_size(panel: HubPanel, qtbot: QtBot) -> None:
    _look_up(panel, qtbot, "acme/Small-VL-GGUF")
    rows = [[panel.files.index(row, column).data() for column in range(3)] for row in range(panel.files.rowCount())]
    assert rows == [
        ["Q4_K_M", "1.3 GB", "Small-VL-Q4_K_M.gguf"],
        ["Q8_0", "2.1 GB", "Small-VL-Q8_0.gguf"],
        ["F16", "4.0 GB", "Small-VL-F16-00001-of-00002.gguf and 1 more"],
    ]
    shown = _texts(panel)
    assert "mit" in shown
    assert "projector for pictures, 650 MB" in shown


def test_a_common_quantization_is_chosen_to_begin_with(panel: HubPanel, qtbot: QtBot) -> None:
    _look_up(panel, qtbot, "acme/Small-VL-GGUF")
    assert panel.files.file(panel.table.currentIndex().row()).quantization == "Q4_K_M"


def test_download_asks_for_the_chosen_file_with_its_projector(panel: HubPanel, qtbot: QtBot) -> None:
    _look_up(panel, qtbot, "acme/Small-VL-GGUF")
    panel.table.selectRow(1)
    with qtbot.waitSignal(panel.download_asked) as asked:
        panel.download_button.click()
    repository, file, projector = cast(list[Any], asked.args)
    assert (repository.id, file.label, projector.label) == (
        "acme/Small-VL-GGUF",
        "Small-VL-Q8_0.gguf",
        "mmproj-Small-VL-F16.gguf",
    )


def test_a_gated_repository_says_what_to_do(panel: HubPanel, qtbot: QtBot, hub: StandInHub) -> None:
    hub.repositories["acme/gated"] = a_repository(id="acme/gated", gated=True)
    _look_up(panel, qtbot, "acme/gated")
    assert "HF_TOKEN" in _texts(panel)


def test_a_repository_without_gguf_files_says_so(panel: HubPanel, qtbot: QtBot, hub: StandInHub) -> None:
    hub.repositories["acme/other"] = a_repository(id="acme/other", files=())
    _look_up(panel, qtbot, "acme/other")
    assert "No GGUF files here" in _texts(panel)


def test_an_unreachable_hub_is_told_in_words_and_can_be_asked_again(panel: HubPanel, qtbot: QtBot, hub: StandInHub) -> None:
    hub.fails = HubUnreachable("huggingface.co can't be reached. Check the network connection.")
    _look_up(panel, qtbot, "acme/Small-VL-GGUF")
    assert "Check the network connection." in panel.banner.text
    hub.fails = None
    panel.banner.acted.emit()
    qtbot.waitUntil(lambda: panel.files.rowCount() == 3)
    assert panel.banner.isHidden()


def test_an_empty_field_is_not_looked_up(panel: HubPanel, qtbot: QtBot) -> None:
    panel.look_up_button.click()
    assert "Enter the name" in panel.banner.text


def test_the_table_keeps_qts_rules(qtmodeltester: ModelTester) -> None:
    model = HubFilesModel()
    model.set_files(a_repository().models)
    qtmodeltester.check(model)


def test_a_well_known_model_is_found_by_its_short_name(panel: HubPanel, qtbot: QtBot, hub: StandInHub) -> None:
    hub.repositories["gpustack/bge-m3-GGUF"] = a_repository(id="gpustack/bge-m3-GGUF")
    _look_up(panel, qtbot, "bge-m3")
    assert "gpustack/bge-m3-GGUF" in _texts(panel)
    assert panel.files.file(panel.table.currentIndex().row()).quantization == "Q8_0"
