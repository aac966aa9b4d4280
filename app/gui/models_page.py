"""The models page: what is on this computer, and getting more."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QCoreApplication, QMimeData, QModelIndex, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QListView,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from app.domain.models import (
    Capability,
    FileState,
    InstalledModel,
    LoadedModel,
    ModelSource,
    ModelState,
    Removal,
    Verification,
)
from app.gui.bridge import Bridge, Task
from app.gui.controls import Banner, EmptyState, button, filter_chip, label, tool_button
from app.gui.desktop import Desktop
from app.gui.errands import Errands
from app.gui.errors import sentence
from app.gui.figures import capability_text, size_text
from app.gui.flow import FlowLayout
from app.gui.icons import icon
from app.gui.models.get_page import GetPage
from app.gui.models.importer import Importer
from app.gui.models.load_dialog import LoadDialog
from app.gui.models.model_detail import ModelDetail
from app.gui.models.model_filter import ModelFilter, Owner
from app.gui.models.model_list import ModelListModel, ModelRole, ModelRowDelegate
from app.gui.models.profile_dialog import ProfileDialog
from app.gui.models.trouble_note import TroubleNote
from app.gui.models.undo_bar import UndoBar
from app.gui.models.work_bar import WorkBar
from app.gui.theme import Theme
from app.service.services import Services
from app.settings import ModelSettings

__all__ = ["ModelsPage"]

_NARROW = 620
_MOST_TEXT = 500
_FILTERED = (Capability.VISION, Capability.TOOLS, Capability.REASONING, Capability.EMBEDDING)


class ModelsPage(QWidget):
    """Joins the list and the detail to the services; getting more is `GetPage`'s. `chat_asked` carries a model's id."""

    chat_asked = Signal(str)

    def __init__(
        self, services: Services, bridge: Bridge, parent: QWidget | None = None, *, desktop: Desktop | None = None
    ) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._desktop = desktop or Desktop()
        self._chosen_id = ""
        self._loads: dict[str, Task] = {}
        self.setAcceptDrops(True)
        self._errands = Errands(bridge, self)
        self.models = ModelListModel(self)
        self.filter = ModelFilter(self)
        self.filter.setSourceModel(self.models)
        self.list = self._make_list()
        self.detail = ModelDetail()
        self.undo = UndoBar()
        self.work = WorkBar()
        self.get = GetPage(services, bridge, desktop=self._desktop)
        self.importer = Importer(services, bridge, self, desktop=self._desktop, work=self.work)
        self.profile = ProfileDialog(services, bridge, self, desktop=self._desktop)
        self.load_options = LoadDialog(services, bridge, self)
        self.banner = Banner()
        self.tabs = QTabWidget()
        self._lay_out()
        self._connect()
        self._watch()

    def _make_list(self) -> QListView:
        made = QListView()
        made.setModel(self.filter)
        made.setItemDelegate(ModelRowDelegate(made))
        # Each of hundreds would be asked for its size at every key otherwise.
        made.setUniformItemSizes(True)
        made.setMouseTracking(True)
        made.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        made.setAccessibleName(self.tr("Models on this computer"))
        made.setViewportMargins(0, 0, Theme.GAP, 0)
        made.setMinimumWidth(200)
        made.setMinimumHeight(120)
        return made

    def _lay_out(self) -> None:
        self.add_button = button(self.tr("Add a file…"), "plus", name=self.tr("Add a model file from this computer"))
        self.folder_button = tool_button("folder", self.tr("Open the models folder"))
        self.refresh_button = tool_button("refresh", self.tr("Look for new model files"))
        head = QHBoxLayout()
        head.addWidget(label(self.tr("Models"), "title"), 1)
        for made in (self.refresh_button, self.folder_button, self.add_button):
            head.addWidget(made)
        self._splitter = QSplitter(Qt.Orientation.Horizontal)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.addWidget(self._list_side())
        self._splitter.addWidget(self.detail)
        self._splitter.setStretchFactor(0, 2)
        self._splitter.setStretchFactor(1, 3)
        self._splitter.setHandleWidth(1)
        empty = EmptyState("models", self.tr("No models yet"), self.tr("Get one from the hub, or drop a GGUF file here."))
        self._installed = QStackedWidget()
        self._installed.addWidget(empty)
        self._installed.addWidget(self._splitter)
        self._installed.setContentsMargins(0, Theme.PAD, 0, 0)
        self.tabs.addTab(self._installed, self.tr("On this computer"))
        self.tabs.addTab(self.get, self.tr("Get models"))
        self.tabs.tabBar().setAccessibleName(self.tr("Installed models, or models to get"))
        column = QVBoxLayout(self)
        column.setContentsMargins(Theme.WIDE, Theme.ROOM, Theme.WIDE, Theme.ROOM)
        column.setSpacing(Theme.PAD)
        column.addLayout(head)
        for bar in (self.banner, self.undo, self.work):
            column.addWidget(bar)
        column.addWidget(self.tabs, 1)
        column.addWidget(self.get.downloads)

    def _list_side(self) -> QWidget:
        """The list below what narrows it down."""
        self.search = QLineEdit(placeholderText=self.tr("Search"))
        self.search.setAccessibleName(self.tr("Search in the models on this computer"))
        self.search.setClearButtonEnabled(True)
        self.search.addAction(icon("search"), QLineEdit.ActionPosition.LeadingPosition)
        self.search.textChanged.connect(self.filter.set_text)
        chips = QWidget()
        row = FlowLayout(chips, gap=Theme.TIGHT)
        self.chips: dict[Capability, QPushButton] = {}
        for capability in _FILTERED:
            made = self.chips[capability] = filter_chip(capability_text(capability))
            made.toggled.connect(self._filter_capabilities)
            row.addWidget(made)
        self.others = filter_chip(self.tr("Other programs"))
        self.others.toggled.connect(lambda on: self.filter.set_owner(Owner.OTHERS if on else Owner.ALL))
        row.addWidget(self.others)
        side = QWidget()
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, Theme.GAP, 0)
        column.setSpacing(Theme.GAP)
        column.addWidget(self.search)
        column.addWidget(chips)
        nothing = EmptyState("search", self.tr("Nothing found"), self.tr("No model here is all of that."))
        self._found = QStackedWidget()
        self._found.addWidget(self.list)
        self._found.addWidget(nothing)
        column.addWidget(self._found, 1)
        self.troubles = TroubleNote(self._services, self._bridge)
        column.addWidget(self.troubles)
        return side

    def _filter_capabilities(self) -> None:
        self.filter.set_capabilities(frozenset(one for one, made in self.chips.items() if made.isChecked()))

    def _connect(self) -> None:
        self.undo.undo_asked.connect(self._restore)
        self.detail.settings_asked.connect(self._open_settings)
        self.detail.verify_asked.connect(self._verify)
        self.detail.repair_asked.connect(self._repair)
        self.detail.instead_asked.connect(self.importer.bring_in)
        self.detail.note_changed.connect(lambda one, note: self._set(one, {"note": note or None}))
        self.detail.alias_added.connect(self._add_alias)
        self.detail.alias_removed.connect(self._remove_alias)
        self.add_button.clicked.connect(self._ask_for_file)
        self.folder_button.clicked.connect(self._open_folder)
        self.refresh_button.clicked.connect(self.refresh)
        for changed in (self.filter.layoutChanged, self.filter.modelReset):
            changed.connect(lambda *_: self._show_whether_found())
        # Invalid: what is shown was filtered out. It stays until something else is chosen.
        self.list.selectionModel().currentChanged.connect(lambda index: self._choose(index) if index.isValid() else None)
        self.list.activated.connect(lambda index: self._load_or_ask(index.data(ModelRole.MODEL).id))
        self.detail.load_asked.connect(self._load_or_ask)
        self.detail.options_asked.connect(self._open_load_options)
        self.load_options.load_asked.connect(self._load)
        self.load_options.settings_asked.connect(self._open_settings)
        self.detail.unload_asked.connect(self._unload)
        self.detail.chat_asked.connect(self.chat_asked)
        self.detail.remove_asked.connect(self._ask_to_remove)
        self.detail.reveal_asked.connect(self._reveal)
        for getting in (self.get, self.importer):
            getting.began.connect(lambda: self.banner.tell(""))
            getting.failed.connect(self._fail)
        self.importer.imported.connect(self.select)
        self.importer.download_asked.connect(lambda plan: self.get.download(plan.repository, plan.file, plan.projector))
        self.get.shown.connect(self.select)
        self.get.installed.connect(self.refresh)

    def _watch(self) -> None:
        """Follow changes first, then look at what there is, so that nothing falls in between."""
        self._bridge.watch(self._services.library.changed, self._show_models)
        self._bridge.watch(self._services.library.changed, self._ask_what_can_be_undone)
        self._bridge.watch(self._services.models.changed, self._show_state)
        self._bridge.watch(self._services.fit.changed, self._ask_fit)
        self._bridge.watch(self._services.settings.changed, self._ask_about)
        services = self._services
        task = self._bridge.call(lambda: (services.library.models, services.models.loaded), self)
        task.succeeded.connect(self._show_all)
        task.failed.connect(self._fail)
        task.start()

    # What there is

    def _show_all(self, found: tuple[tuple[InstalledModel, ...], tuple[LoadedModel, ...]]) -> None:
        models, loaded = found
        for state in loaded:
            self._show_state(state)
        self._show_models(models)

    def _show_models(self, models: tuple[InstalledModel, ...]) -> None:
        place = max(0, self.filter.mapFromSource(self._chosen()).row())
        with QSignalBlocker(self.list.selectionModel()):
            self.models.set_models(models)
        self._installed.setCurrentIndex(1 if models else 0)
        index = self._chosen()
        if not index.isValid():
            # It is gone: what stands in its place now, as the list is filtered and sorted.
            index = self.filter.mapToSource(self.filter.index(min(place, self.filter.rowCount() - 1), 0))
        self._select(index)

    def _chosen(self) -> QModelIndex:
        """Where the chosen model stands in `models`; invalid if it is not there."""
        row = self.models.row_of(self._chosen_id)
        return self.models.index(row) if row is not None else QModelIndex()

    def _show_whether_found(self) -> None:
        self._found.setCurrentIndex(0 if self.filter.rowCount() else 1)

    def _select(self, index: QModelIndex) -> None:
        """Mark a model of `models`, if the filter lets it through, and show it."""
        with QSignalBlocker(self.list.selectionModel()):
            self.list.setCurrentIndex(self.filter.mapFromSource(index))
        self._choose(index)

    def select(self, model_id: str) -> None:
        """Show a model, now or as soon as it is listed."""
        self._chosen_id = model_id
        self.tabs.setCurrentIndex(0)
        index = self._chosen()
        if index.isValid():
            self._select(index)

    def _choose(self, index: QModelIndex) -> None:
        model: InstalledModel | None = index.data(ModelRole.MODEL)
        self._chosen_id = model.id if model is not None else self._chosen_id
        self.detail.show_model(model, self.models.state_of(self._chosen_id))
        self._errands.drop()
        self._ask_about()
        self._ask_fit()

    def _ask_fit(self, _changed: None = None) -> None:
        model = self.detail.model
        if model is None or not self.isVisible():
            return
        if model.problem is not None:
            self.detail.show_fit(model.id, None)
            return
        self._errands.start(
            self._services.fit.installed(model.id),
            lambda fit: self.detail.show_fit(model.id, fit),
            lambda _error: self.detail.show_fit(model.id, None),
        )

    def _ask_about(self, _changed: object = None) -> None:
        """What a person wrote about the chosen model, and its names."""
        model = self.detail.model
        if model is None:
            return
        task = self._bridge.call(lambda: _about(self._services, model), self)
        task.succeeded.connect(lambda about: self.detail.show_settings(*about) if self.detail.model == model else None)
        task.start()

    def _ask_what_can_be_undone(self, _changed: object = None) -> None:
        task = self._bridge.call(lambda: self._services.library.removals, self)
        task.succeeded.connect(self.undo.show_removals)
        task.start()

    def _show_state(self, state: LoadedModel) -> None:
        self.models.set_state(state)
        if state.id == self._chosen_id:
            self.detail.show_state(state)

    def refresh(self) -> None:
        """Read the models folders again."""
        self._run_task(self._bridge.submit(self._services.library.refresh(), self))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()
        self._ask_fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = event.size().width() < _NARROW
        self._splitter.setOrientation(Qt.Orientation.Vertical if narrow else Qt.Orientation.Horizontal)
        self.get.downloads.leave_room_in(event.size().height())

    # What a person does

    def _run_task(self, task: Task) -> Task:
        self.banner.tell("")
        task.failed.connect(self._fail)
        return task.start()

    def _fail(self, error: Exception) -> None:
        self.banner.tell(sentence(error))

    def _load_or_ask(self, model_id: str) -> None:
        """What is too large would only be refused: with less context it may fit, and it can be tried all the same."""
        if self.detail.is_too_large:
            self._open_load_options(model_id)
        else:
            self._load(model_id)

    def _load(self, model_id: str, try_anyway: bool = False) -> None:
        """Load; why a load failed is shown at the model, by its state."""
        if self.models.state_of(model_id).state in (ModelState.READY, ModelState.LOADING):
            return
        task = self._bridge.submit(self._services.models.load(model_id, try_anyway=try_anyway), self)
        task.failed.connect(lambda error: self._load_failed(model_id, error))
        self._loads[model_id] = task.start()

    def _load_failed(self, model_id: str, error: Exception) -> None:
        self._show_state(LoadedModel(model_id, ModelState.FAILED, error=sentence(error)))

    def _unload(self, model_id: str) -> None:
        self._run_task(self._bridge.submit(self._services.models.unload(model_id), self))

    def _ask_for_file(self) -> None:
        file = self._desktop.model_file(self, title=self.tr("Add a model file"), kind=self.tr("GGUF models"))
        if file is not None:
            self.importer.bring_in(str(file))

    def _verify(self, model_id: str) -> None:
        library = self._services.library
        task = self._bridge.follow(lambda tell: library.verify(model_id, lambda done, total: tell((done, total))), self)
        task.progressed.connect(lambda told: self.work.show_progress(*told))
        task.succeeded.connect(self._tell_verified)
        task.failed.connect(self._fail)
        self.work.run(task, self.tr("Checking files"))

    def _tell_verified(self, verification: Verification) -> None:
        self._desktop.tell(self, title=self.tr("Check files"), text=_verification_text(verification))

    def _repair(self, model_id: str) -> None:
        model = self.detail.model
        if model is None or model.id != model_id:
            return
        task = self._bridge.submit(self._services.library.repair_of(model, self._services.hub), self)
        task.succeeded.connect(lambda repair: self.get.download(repair.repository, repair.file, repair.projector))
        self._run_task(task)

    # What a person set

    def _set(self, model_id: str, changes: dict[str, Any]) -> None:
        self._run_task(self._bridge.call(lambda: self._services.profiles.update(model_id, changes), self))

    def _add_alias(self, model_id: str, name: str) -> None:
        self._run_task(self._bridge.call(lambda: self._services.profiles.add_alias(model_id, name), self))

    def _remove_alias(self, name: str) -> None:
        self._run_task(self._bridge.call(lambda: self._services.profiles.remove_alias(name), self))

    def _open_settings(self, model_id: str) -> None:
        model = self.detail.model
        if model is not None and model.id == model_id:
            self.profile.ask(model)

    def _open_load_options(self, model_id: str) -> None:
        model = self.detail.model
        if model is not None and model.id == model_id:
            self.load_options.ask(model)

    def _ask_to_remove(self, model_id: str) -> None:
        model = self.detail.model
        if model is None or model.id != model_id:
            return
        task = self._bridge.submit(self._services.library.freed_by(model_id), self)
        task.succeeded.connect(lambda freed: self._confirm_removal(model, freed))
        self._run_task(task)

    def _confirm_removal(self, model: InstalledModel, freed_bytes: int) -> None:
        if model.source is ModelSource.ADDED:
            details = self.tr("It is taken off this list. The file itself stays where it is, and no space is freed.")
            action = self.tr("Take off the list")
        else:
            files = "\n".join(str(file) for file in model.files)
            freed = self.tr("{0} are freed when Hearth closes; until then it can be undone.").format(size_text(freed_bytes))
            details, action = f"{freed}\n{files}", self.tr("Remove")
        title, text = self.tr("Remove a model"), self.tr("Remove {0}?").format(model.name)
        if self._desktop.confirm(self, title=title, text=text, details=details, action=action):
            self._run_task(self._bridge.submit(self._remove(model.id), self))

    async def _remove(self, model_id: str) -> Removal:
        """On the service loop. A file in use can't be moved everywhere, so its model is unloaded first."""
        if self._services.models.state(model_id).state is not ModelState.UNLOADED:
            await self._services.models.unload(model_id)
        return await self._services.library.remove(model_id)

    def _restore(self, removal_id: str) -> None:
        task = self._bridge.submit(self._services.library.restore(removal_id), self)
        task.succeeded.connect(lambda model: self.select(model.id))
        task.failed.connect(self._ask_what_can_be_undone)
        self._run_task(task)

    def _open_folder(self) -> None:
        task = self._bridge.call(lambda: self._services.library.folder, self)
        task.succeeded.connect(self._desktop.open_folder)
        self._run_task(task)

    def _reveal(self, model_id: str) -> None:
        if self.detail.model is not None:
            self._desktop.reveal(self.detail.model.path)

    # Something dropped onto the page: files, folders, addresses, names

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _dropped(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        self.importer.bring_in(*_dropped(event.mimeData()))
        # Whatever was proposed: a file that was moved would be deleted where it came from.
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()


def _dropped(data: QMimeData) -> list[str]:
    """What was dropped, as a person would type it."""
    if data.hasUrls():
        return [url.toLocalFile() if url.isLocalFile() else url.toString() for url in data.urls()]
    text = data.text().strip()
    return [text] if text and "\n" not in text and len(text) < _MOST_TEXT else []


def _about(services: Services, model: InstalledModel) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """On the service loop: note, a person's own names, and those it has anyway."""
    current = services.settings.current
    own = tuple(alias for alias, target in current.aliases.items() if target == model.id)
    known = tuple(name for name in services.library.aliases_of(model) if name not in own)
    return current.models.get(model.id, ModelSettings()).note, own, known


def _verification_text(verification: Verification) -> str:
    """What a check of files found, a line for each file."""
    words = {
        FileState.INTACT: _tr("unharmed"),
        FileState.DAMAGED: _tr("damaged: download it again"),
        FileState.MISSING: _tr("missing"),
        FileState.UNREADABLE: _tr("can't be read"),
        FileState.UNKNOWN: _tr("whole; nobody noted its checksum"),
    }
    return "\n".join(f"{check.path.name}: {words[check.state]}" for check in verification.files)


def _tr(text: str) -> str:
    return QCoreApplication.translate("models", text)
