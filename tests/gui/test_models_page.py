from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from PySide6.QtCore import QMimeData, QModelIndex, QPersistentModelIndex, QPointF, QSize, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QPlainTextEdit, QStyleOptionViewItem
from pytestqt.qtbot import QtBot

from app.domain.errors import ModelLoadFailed, NotAModel, NotRestorable
from app.domain.fit import Fit
from app.domain.memory import HOST, DeviceNeed, MemoryPlan
from app.domain.models import (
    Capability,
    DownloadProgress,
    DownloadState,
    LoadedModel,
    MissingPart,
    ModelSource,
    ModelState,
    PartKind,
)
from app.gui.bridge import Bridge
from app.gui.controls import EmptyState
from app.gui.models.model_list import ModelRole, ModelRowDelegate
from app.gui.models_page import ModelsPage
from app.service.imports import ImportWay
from app.service.services import Services
from tests.gui.stand_ins import (
    StandInDesktop,
    StandInDownloads,
    StandInFit,
    StandInImports,
    StandInLibrary,
    StandInModels,
    a_model,
)

OnLoop = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def library(services: Services) -> StandInLibrary:
    return cast(StandInLibrary, services.library)


@pytest.fixture
def models(services: Services) -> StandInModels:
    return cast(StandInModels, services.models)


@pytest.fixture
def downloads(services: Services) -> StandInDownloads:
    return cast(StandInDownloads, services.downloads)


@pytest.fixture
def page(qtbot: QtBot, services: Services, bridge: Bridge, desktop: StandInDesktop) -> ModelsPage:
    made = ModelsPage(services, bridge, desktop=desktop)
    qtbot.addWidget(made)
    made.resize(850, 640)
    made.show()
    qtbot.waitUntil(lambda: made.models.rowCount() == 2)
    return made


def _shown(page: ModelsPage) -> str:
    assert page.detail.model is not None
    return page.detail.model.id


def test_the_first_model_is_shown_to_begin_with(page: ModelsPage) -> None:
    assert _shown(page) == "ember"


def test_a_model_that_appears_is_listed_and_the_choice_stays(
    page: ModelsPage, qtbot: QtBot, library: StandInLibrary, on_loop: OnLoop
) -> None:
    page.select("second-model")
    on_loop(lambda: library.put(a_model("a-new-one"), *library.models))
    qtbot.waitUntil(lambda: page.models.rowCount() == 3)
    assert _shown(page) == "second-model"


def test_load_shows_progress_until_the_model_is_ready(
    page: ModelsPage, qtbot: QtBot, models: StandInModels, on_loop: OnLoop
) -> None:
    page.detail.load_button.click()
    qtbot.waitUntil(lambda: page.models.state_of("ember").state is ModelState.LOADING)
    assert page.models.state_of("ember").progress == 0.4
    on_loop(models.proceed.set)
    qtbot.waitUntil(lambda: page.models.state_of("ember").state is ModelState.READY)
    page.detail.unload_button.click()
    qtbot.waitUntil(lambda: page.models.state_of("ember").state is ModelState.UNLOADED)


def test_a_model_that_cant_be_loaded_says_why(page: ModelsPage, qtbot: QtBot, models: StandInModels, on_loop: OnLoop) -> None:
    models.fails = ModelLoadFailed("ember", "there is not enough memory")
    on_loop(models.proceed.set)
    page.detail.load_button.click()
    qtbot.waitUntil(lambda: page.models.state_of("ember").state is ModelState.FAILED)
    qtbot.waitUntil(lambda: "not enough memory" in (page.models.state_of("ember").error or ""))


def test_a_file_from_disk_is_added_and_shown(page: ModelsPage, qtbot: QtBot, desktop: StandInDesktop) -> None:
    desktop.file = Path("/somewhere/extra.gguf")
    page.add_button.click()
    qtbot.waitUntil(lambda: _shown(page) == "extra")
    assert page.banner.isHidden()


def test_a_file_that_is_no_model_is_refused_in_words(
    page: ModelsPage, qtbot: QtBot, desktop: StandInDesktop, library: StandInLibrary
) -> None:
    library.fails = NotAModel(Path("/somewhere/notes.gguf"), "it is no GGUF file")
    desktop.file = Path("/somewhere/notes.gguf")
    page.add_button.click()
    qtbot.waitUntil(lambda: "notes.gguf can't be used as a model. It is no GGUF file" in page.banner.text)


def _drop(page: ModelsPage, data: QMimeData) -> bool:
    enter = QDragEnterEvent(
        QPointF(9, 9).toPoint(), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    page.dragEnterEvent(enter)
    if enter.isAccepted():
        page.dropEvent(
            QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
        )
    return enter.isAccepted()


@pytest.mark.parametrize("way", list(ImportWay))
def test_a_file_dropped_onto_the_page_is_taken_as_the_person_wants(
    page: ModelsPage, qtbot: QtBot, services: Services, desktop: StandInDesktop, way: ImportWay
) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/somewhere/dropped.gguf")])
    desktop.picks = list(ImportWay).index(way)
    assert _drop(page, data)
    qtbot.waitUntil(lambda: _shown(page) == "dropped")
    assert cast(StandInImports, services.imports).ways == [way]
    qtbot.waitUntil(lambda: not page.work.isVisible())


def test_whoever_backs_out_of_a_drop_gets_nothing(page: ModelsPage, qtbot: QtBot, desktop: StandInDesktop) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/somewhere/dropped.gguf")])
    desktop.picks = None
    assert _drop(page, data)
    qtbot.waitUntil(lambda: bool(desktop.asked))
    assert page.models.rowCount() == 2


def test_a_file_that_is_listed_already_is_shown(page: ModelsPage, qtbot: QtBot, desktop: StandInDesktop) -> None:
    page.importer.bring_in("/models/second-model.gguf")
    qtbot.waitUntil(lambda: _shown(page) == "second-model")
    assert desktop.asked == []


def test_a_name_dropped_as_text_is_downloaded(
    page: ModelsPage, qtbot: QtBot, desktop: StandInDesktop, downloads: StandInDownloads
) -> None:
    data = QMimeData()
    data.setText("org/repo:Q4_K_M")
    assert _drop(page, data)
    qtbot.waitUntil(lambda: bool(downloads.downloads))
    assert "Download org/repo:Q4_K_M?" in desktop.asked[0]
    lines = QMimeData()
    lines.setText("many\nlines")
    assert not _drop(page, lines)


def test_the_list_is_narrowed_down_by_words_abilities_and_whose_it_is(
    page: ModelsPage, qtbot: QtBot, library: StandInLibrary, on_loop: OnLoop
) -> None:
    theirs = a_model("theirs", source=ModelSource.OLLAMA, capabilities=frozenset({Capability.CHAT, Capability.TOOLS}))
    on_loop(lambda: library.put(theirs, *library.models))
    qtbot.waitUntil(lambda: page.filter.rowCount() == 3)

    def shown() -> list[str]:
        return [page.filter.index(row, 0).data(ModelRole.MODEL).id for row in range(page.filter.rowCount())]

    assert shown() == ["ember", "second-model", "theirs"], "ours come first"
    page.search.setText("SECOND")
    assert shown() == ["second-model"]
    page.search.setText("ollama")
    assert shown() == ["theirs"]
    page.search.clear()
    page.chips[Capability.TOOLS].click()
    assert shown() == ["theirs"]
    page.chips[Capability.TOOLS].click()
    page.others.click()
    assert shown() == ["theirs"]


def test_files_are_checked_and_what_is_wrong_is_told(page: ModelsPage, qtbot: QtBot, desktop: StandInDesktop) -> None:
    page.detail.verify_button.click()
    qtbot.waitUntil(lambda: bool(desktop.asked))
    assert desktop.asked == ["ember.gguf: damaged: download it again"]


def test_what_is_missing_can_be_fetched(
    page: ModelsPage, qtbot: QtBot, library: StandInLibrary, downloads: StandInDownloads, on_loop: OnLoop
) -> None:
    part = MissingPart(PartKind.PROJECTOR, "mmproj.gguf", 900_000_000, "acme/Small-VL-GGUF")
    on_loop(lambda: library.put(a_model("blind", missing=(part,))))
    qtbot.waitUntil(lambda: _shown(page) == "blind")
    page.detail.repair_asked.emit("blind")
    qtbot.waitUntil(lambda: bool(downloads.downloads))


def test_what_is_of_no_use_here_can_be_had_otherwise(
    page: ModelsPage,
    qtbot: QtBot,
    library: StandInLibrary,
    downloads: StandInDownloads,
    on_loop: OnLoop,
    desktop: StandInDesktop,
) -> None:
    desktop.picks = 0
    on_loop(lambda: library.put(a_model("theirs", problem="It is in a format of Ollama's own.", instead="acme/Same-GGUF")))
    qtbot.waitUntil(lambda: _shown(page) == "theirs")
    page.detail.instead_asked.emit("acme/Same-GGUF")
    qtbot.waitUntil(lambda: [one.repository for one in downloads.downloads] == ["acme/Same-GGUF"])


def test_a_note_that_is_typed_is_kept(page: ModelsPage, qtbot: QtBot, services: Services) -> None:
    field = page.detail.findChild(QPlainTextEdit)
    assert field is not None
    qtbot.keyClicks(field, "mine")
    qtbot.waitUntil(lambda: [one.note for one in services.settings.current.models.values()] == ["mine"])
    qtbot.keyClicks(field, " still")
    page.select("second-model")
    qtbot.waitUntil(lambda: services.settings.current.models["ember"].note == "mine still")
    assert field.toPlainText() == ""
    page.select("ember")
    qtbot.waitUntil(lambda: field.toPlainText() == "mine still")


def test_what_would_be_left_out_is_told_before_one_chooses(
    page: ModelsPage, qtbot: QtBot, services: Services, desktop: StandInDesktop
) -> None:
    cast(StandInImports, services.imports).problem = "It is incomplete."
    desktop.picks = None
    page.importer.bring_in("/somewhere/cut.gguf")
    qtbot.waitUntil(lambda: bool(desktop.asked))
    assert "Not linked or copied:\nCut: It is incomplete." in desktop.asked[0]


def test_several_files_that_are_dropped_come_in_one_after_the_other(
    page: ModelsPage, qtbot: QtBot, services: Services, desktop: StandInDesktop
) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(f"/somewhere/{name}.gguf") for name in ("one", "two", "three")])
    desktop.picks = 2
    assert _drop(page, data)
    qtbot.waitUntil(lambda: page.models.rowCount() == 5)
    assert cast(StandInImports, services.imports).ways == [ImportWay.COPY] * 3
    qtbot.waitUntil(lambda: not page.work.isVisible())


def test_what_is_dropped_is_never_taken_away_from_where_it_was(page: ModelsPage) -> None:
    data = QMimeData()
    data.setText("org/repo")
    # With Shift, a file manager proposes to move.
    any_action = Qt.DropAction.CopyAction | Qt.DropAction.MoveAction
    drop = QDropEvent(QPointF(9, 9), any_action, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier)
    drop.setDropAction(Qt.DropAction.MoveAction)
    page.dropEvent(drop)
    assert drop.dropAction() is Qt.DropAction.CopyAction


def test_a_note_and_other_names_are_kept(page: ModelsPage, qtbot: QtBot, services: Services) -> None:
    page.detail.alias_added.emit("ember", "gpt-4o")
    qtbot.waitUntil(lambda: services.settings.current.aliases == {"gpt-4o": "ember"})
    page.detail.alias_removed.emit("gpt-4o")
    qtbot.waitUntil(lambda: services.settings.current.aliases == {})
    page.detail.note_changed.emit("ember", "mine")
    qtbot.waitUntil(lambda: [one.note for one in services.settings.current.models.values()] == ["mine"])


def test_removing_says_what_is_freed_and_asks_first(page: ModelsPage, qtbot: QtBot, desktop: StandInDesktop) -> None:
    page.select("second-model")
    desktop.says_yes = False
    page.detail.remove_button.click()
    qtbot.waitUntil(lambda: bool(desktop.asked))
    assert "4.4 GB" in desktop.asked[0]
    assert page.models.rowCount() == 2
    desktop.says_yes = True
    page.detail.remove_button.click()
    qtbot.waitUntil(lambda: page.models.rowCount() == 1)


def test_a_removal_can_be_undone(page: ModelsPage, qtbot: QtBot) -> None:
    page.select("second-model")
    page.detail.remove_button.click()
    qtbot.waitUntil(page.undo.isVisible)
    assert "4.4 GB are freed when Hearth closes" in page.undo.text
    page.undo.undo_button.click()
    qtbot.waitUntil(lambda: page.models.rowCount() == 2)
    qtbot.waitUntil(lambda: _shown(page) == "second-model")
    assert not page.undo.isVisible()


def test_several_removals_are_undone_the_last_first(
    page: ModelsPage, qtbot: QtBot, library: StandInLibrary, on_loop: OnLoop
) -> None:
    on_loop(lambda: library.put(*library.models, a_model("third")))
    qtbot.waitUntil(lambda: page.models.rowCount() == 3)
    for left, model_id in ((2, "third"), (1, "second-model")):
        page.select(model_id)
        page.detail.remove_button.click()
        qtbot.waitUntil(lambda left=left: page.models.rowCount() == left)
    qtbot.waitUntil(lambda: "8.7 GB" in page.undo.text)
    page.undo.undo_button.click()
    qtbot.waitUntil(lambda: page.models.rowCount() == 2)
    assert page.undo.isVisible()
    assert "4.4 GB" in page.undo.text


def test_what_could_not_be_brought_back_is_offered_again(page: ModelsPage, qtbot: QtBot, library: StandInLibrary) -> None:
    page.select("second-model")
    page.detail.remove_button.click()
    qtbot.waitUntil(page.undo.isVisible)
    library.fails = NotRestorable("Its file is there again.")
    page.undo.undo_button.click()
    qtbot.waitUntil(page.banner.isVisible)
    qtbot.waitUntil(page.undo.isVisible)
    library.fails = None
    page.undo.undo_button.click()
    qtbot.waitUntil(lambda: page.models.rowCount() == 2)


def test_what_is_deleted_for_good_is_offered_no_more(
    page: ModelsPage, qtbot: QtBot, library: StandInLibrary, on_loop: OnLoop
) -> None:
    page.select("second-model")
    page.detail.remove_button.click()
    qtbot.waitUntil(page.undo.isVisible)
    # As when the models folder is moved.
    library.removals = ()
    on_loop(lambda: library.put(*library.models))
    qtbot.waitUntil(page.undo.isHidden)


def test_taking_an_added_file_off_the_list_says_that_it_stays(
    page: ModelsPage, qtbot: QtBot, desktop: StandInDesktop, library: StandInLibrary, on_loop: OnLoop
) -> None:
    on_loop(lambda: library.put(a_model("mine", source=ModelSource.ADDED)))
    qtbot.waitUntil(lambda: page.models.rowCount() == 1)
    page.detail.remove_button.click()
    qtbot.waitUntil(lambda: bool(desktop.asked))
    assert "stays where it is" in desktop.asked[0]


def test_a_loaded_model_is_unloaded_before_its_file_is_deleted(
    page: ModelsPage, qtbot: QtBot, models: StandInModels, on_loop: OnLoop
) -> None:
    on_loop(lambda: models.put(LoadedModel("second-model", ModelState.READY)))
    page.select("second-model")
    page.detail.remove_button.click()
    qtbot.waitUntil(lambda: page.models.rowCount() == 1)
    assert models.state("second-model").state is ModelState.UNLOADED


def test_the_file_can_be_shown_in_the_file_manager(page: ModelsPage, desktop: StandInDesktop) -> None:
    page.detail.reveal_button.click()
    assert desktop.revealed == [Path("/models/ember.gguf")]


def test_a_downloaded_model_is_listed_and_shown(
    page: ModelsPage, qtbot: QtBot, downloads: StandInDownloads, library: StandInLibrary, on_loop: OnLoop
) -> None:
    # Another repository has a file of this name too.
    files = (Path("/models/second-model.gguf"),)
    others = (
        a_model("others", repository="acme/Other", files=files),
        a_model("second-model", repository="acme/Second", files=files),
    )
    on_loop(lambda: library.put(library.models[0], *others))
    before = library.refreshes
    done = DownloadProgress("d1", "acme/Second", "second-model.gguf", DownloadState.DONE, 5, 5)
    on_loop(lambda: downloads.put(done))
    qtbot.waitUntil(lambda: library.refreshes > before)
    qtbot.waitUntil(page.get.downloads.isVisible)
    page.get.downloads.show_asked.emit(done)
    qtbot.waitUntil(lambda: _shown(page) == "second-model")


def test_with_no_model_the_page_says_how_to_get_one(
    page: ModelsPage, qtbot: QtBot, library: StandInLibrary, on_loop: OnLoop
) -> None:
    on_loop(lambda: library.put())
    qtbot.waitUntil(lambda: page.models.rowCount() == 0)
    assert not page.list.isVisible()
    assert page.detail.model is None


def test_the_row_follows_the_state(page: ModelsPage, qtbot: QtBot, models: StandInModels, on_loop: OnLoop) -> None:
    on_loop(lambda: models.put(LoadedModel("ember", ModelState.READY, n_ctx=2048)))
    qtbot.waitUntil(lambda: page.models.index(0).data(ModelRole.STATE).state is ModelState.READY)


def _too_large() -> Fit:
    need = DeviceNeed(HOST, 20_000_000_000, 0, 0, free_bytes=8_000_000_000)
    return Fit.of(MemoryPlan(8192, 0, 33, (need,), wanted_ctx=8192))


def test_a_model_that_is_too_large_is_asked_about_and_can_be_tried(
    page: ModelsPage, qtbot: QtBot, services: Services, models: StandInModels, on_loop: OnLoop
) -> None:
    cast(StandInFit, services.fit).fits["second-model"] = _too_large()
    page.select("second-model")
    qtbot.waitUntil(lambda: page.detail.is_too_large)
    page.detail.load_button.click()
    assert page.load_options.isVisible()
    assert models.states == {}
    qtbot.waitUntil(lambda: page.load_options.load_button.text() == "Try anyway")
    page.load_options.load_button.click()
    on_loop(models.proceed.set)
    qtbot.waitUntil(lambda: page.models.state_of("second-model").state is ModelState.READY)
    assert models.tried_anyway


def test_the_context_can_be_chosen_before_a_model_is_loaded(
    page: ModelsPage, qtbot: QtBot, models: StandInModels, on_loop: OnLoop
) -> None:
    page.detail.options_button.click()
    assert page.load_options.windowTitle() == "Load Ember"
    page.load_options.load_button.click()
    on_loop(models.proceed.set)
    qtbot.waitUntil(lambda: page.models.state_of("ember").state is ModelState.READY)
    assert not models.tried_anyway
    assert page.detail.options_button.isHidden()


def test_all_settings_of_a_model_are_one_click_away(page: ModelsPage, qtbot: QtBot) -> None:
    page.detail.settings_button.click()
    assert page.profile.isVisible()
    page.profile.close()
    page.detail.options_button.click()
    page.load_options.settings_button.click()
    assert page.profile.isVisible()
    assert not page.load_options.isVisible()


class _CountingDelegate(ModelRowDelegate):
    n_sizes = 0

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        self.n_sizes += 1
        return super().sizeHint(option, index)


def test_a_key_in_the_search_does_not_measure_every_row(
    page: ModelsPage, qtbot: QtBot, library: StandInLibrary, on_loop: OnLoop
) -> None:
    delegate = _CountingDelegate(page.list)
    page.list.setItemDelegate(delegate)
    on_loop(lambda: library.put(*(a_model(f"model-{number}") for number in range(300))))
    qtbot.waitUntil(lambda: page.filter.rowCount() == 300)
    page.grab()
    delegate.n_sizes = 0
    page.search.setText("model")
    page.grab()
    assert delegate.n_sizes < 100


def test_a_search_that_finds_nothing_says_so(page: ModelsPage) -> None:
    page.search.setText("no model is called that")
    assert not page.list.isVisible()
    assert any("Nothing found" in one.text for one in page.findChildren(EmptyState) if one.isVisible())
    page.search.clear()
    assert page.list.isVisible()


def test_when_the_chosen_model_goes_the_next_one_in_the_list_is_shown(
    page: ModelsPage, qtbot: QtBot, library: StandInLibrary, on_loop: OnLoop
) -> None:
    on_loop(lambda: library.put(*(a_model(name) for name in ("other", "fox-1", "fox-2", "fox-3"))))
    qtbot.waitUntil(lambda: page.models.rowCount() == 4)
    page.search.setText("fox")
    page.select("fox-2")
    on_loop(lambda: library.put(*(a_model(name) for name in ("other", "fox-1", "fox-3"))))
    qtbot.waitUntil(lambda: page.models.rowCount() == 3)
    assert _shown(page) == "fox-3"
    on_loop(lambda: library.put(a_model("other")))
    qtbot.waitUntil(lambda: page.models.rowCount() == 1)
    assert page.detail.model is None
