from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from pytestqt.qtbot import QtBot

from app.domain.models import ModelSource
from app.gui.bridge import Bridge
from app.gui.models.trouble_note import TroubleNote
from app.library.stores import StoreTrouble
from app.service.services import Services
from tests.gui.stand_ins import StandInLibrary

OnLoop = Callable[[Callable[[], Any]], Any]


def test_what_cant_be_read_is_told_until_it_can(qtbot: QtBot, services: Services, bridge: Bridge, on_loop: OnLoop) -> None:
    library = cast(StandInLibrary, services.library)
    folders = [Path("/usr/share/ollama"), Path("/a/<b>"), Path("/c"), Path("/d")]
    library.troubles = tuple(StoreTrouble(ModelSource.OLLAMA, folder, f"{folder} can't be read.") for folder in folders)
    note = TroubleNote(services, bridge)
    qtbot.addWidget(note)
    qtbot.waitUntil(lambda: not note.isHidden())
    assert note.text.splitlines() == [
        "Ollama: /usr/share/ollama can't be read.",
        "Ollama: /a/<b> can't be read.",
        "And 2 more.",
    ]
    library.troubles = ()
    on_loop(lambda: library.put(*library.models))
    qtbot.waitUntil(note.isHidden)
