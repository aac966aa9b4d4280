"""The models page: what is on this computer, and getting more."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QModelIndex, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QListView, QSplitter, QStackedWidget, QTabWidget, QVBoxLayout, QWidget

from app.domain.models import InstalledModel, LoadedModel, ModelSource, ModelState
from app.gui.bridge import Bridge, Task
from app.gui.controls import Banner, EmptyState, button, label, tool_button
from app.gui.desktop import Desktop
from app.gui.errors import sentence
from app.gui.figures import size_text
from app.gui.models.get_page import GetPage
from app.gui.models.model_detail import ModelDetail
from app.gui.models.model_list import ModelListModel, ModelRole, ModelRowDelegate
from app.gui.theme import Theme
from app.service.services import Services

__all__ = ["ModelsPage"]

_NARROW = 620


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
        self.models = ModelListModel(self)
        self.list = self._make_list()
        self.detail = ModelDetail()
        self.get = GetPage(services, bridge, desktop=self._desktop)
        self.banner = Banner()
        self.tabs = QTabWidget()
        self._lay_out()
        self._connect()
        self._watch()

    def _make_list(self) -> QListView:
        made = QListView()
        made.setModel(self.models)
        made.setItemDelegate(ModelRowDelegate(made))
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
        self._splitter.addWidget(self.list)
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
        column.addWidget(self.banner)
        column.addWidget(self.tabs, 1)
        column.addWidget(self.get.downloads)

    def _connect(self) -> None:
        self.add_button.clicked.connect(self._ask_for_file)
        self.folder_button.clicked.connect(self._open_folder)
        self.refresh_button.clicked.connect(self.refresh)
        self.list.selectionModel().currentChanged.connect(self._choose)
        self.list.activated.connect(lambda index: self._load(index.data(ModelRole.MODEL).id))
        self.detail.load_asked.connect(self._load)
        self.detail.unload_asked.connect(self._unload)
        self.detail.chat_asked.connect(self.chat_asked)
        self.detail.remove_asked.connect(self._ask_to_remove)
        self.detail.reveal_asked.connect(self._reveal)
        self.get.began.connect(lambda: self.banner.tell(""))
        self.get.failed.connect(self._fail)
        self.get.shown.connect(self.select)
        self.get.installed.connect(self.refresh)

    def _watch(self) -> None:
        """Follow changes first, then look at what there is, so that nothing falls in between."""
        self._bridge.watch(self._services.library.changed, self._show_models)
        self._bridge.watch(self._services.models.changed, self._show_state)
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
        with QSignalBlocker(self.list.selectionModel()):
            self.models.set_models(models)
        self._installed.setCurrentIndex(1 if models else 0)
        row = self.models.row_of(self._chosen_id)
        self._select(row if row is not None else 0)

    def _select(self, row: int) -> None:
        index = self.models.index(row)
        self.list.setCurrentIndex(index)
        self._choose(index)

    def select(self, model_id: str) -> None:
        """Show a model, now or as soon as it is listed."""
        self._chosen_id = model_id
        self.tabs.setCurrentIndex(0)
        row = self.models.row_of(model_id)
        if row is not None:
            self._select(row)

    def _choose(self, index: QModelIndex) -> None:
        model: InstalledModel | None = index.data(ModelRole.MODEL)
        self._chosen_id = model.id if model is not None else self._chosen_id
        self.detail.show_model(model, self.models.state_of(self._chosen_id))

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

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = event.size().width() < _NARROW
        self._splitter.setOrientation(Qt.Orientation.Vertical if narrow else Qt.Orientation.Horizontal)

    # What a person does

    def _run_task(self, task: Task) -> Task:
        self.banner.tell("")
        task.failed.connect(self._fail)
        return task.start()

    def _fail(self, error: Exception) -> None:
        self.banner.tell(sentence(error))

    def _load(self, model_id: str) -> None:
        """Load; why a load failed is shown at the model, by its state."""
        if self.models.state_of(model_id).state in (ModelState.READY, ModelState.LOADING):
            return
        task = self._bridge.submit(self._services.models.load(model_id), self)
        task.failed.connect(lambda error: self._load_failed(model_id, error))
        self._loads[model_id] = task.start()

    def _load_failed(self, model_id: str, error: Exception) -> None:
        self._show_state(LoadedModel(model_id, ModelState.FAILED, error=sentence(error)))

    def _unload(self, model_id: str) -> None:
        self._run_task(self._bridge.submit(self._services.models.unload(model_id), self))

    def _ask_for_file(self) -> None:
        file = self._desktop.model_file(self, title=self.tr("Add a model file"), kind=self.tr("GGUF models"))
        if file is not None:
            self.add(file)

    def add(self, file: Path) -> None:
        """List a model file, where it is."""
        task = self._bridge.submit(self._services.library.add(file), self)
        task.succeeded.connect(lambda model: self.select(model.id))
        self._run_task(task)

    def _ask_to_remove(self, model_id: str) -> None:
        model = self.detail.model
        if model is None or model.id != model_id:
            return
        if model.source is ModelSource.ADDED:
            details = self.tr("It is taken off this list. The file itself stays where it is, and no space is freed.")
            action = self.tr("Take off the list")
        else:
            files = "\n".join(str(file) for file in model.files)
            details = self.tr("These files are deleted, and {0} are freed:\n{1}").format(size_text(model.size_bytes), files)
            action = self.tr("Delete")
        title = self.tr("Remove a model")
        if self._desktop.confirm(
            self, title=title, text=self.tr("Remove {0}?").format(model.name), details=details, action=action
        ):
            self._run_task(self._bridge.submit(self._remove(model_id), self))

    async def _remove(self, model_id: str) -> None:
        """On the service loop. A file in use can't be deleted everywhere, so its model is unloaded first."""
        if self._services.models.state(model_id).state is not ModelState.UNLOADED:
            await self._services.models.unload(model_id)
        await self._services.library.remove(model_id)

    def _open_folder(self) -> None:
        task = self._bridge.call(lambda: self._services.library.folder, self)
        task.succeeded.connect(self._desktop.open_folder)
        self._run_task(task)

    def _reveal(self, model_id: str) -> None:
        if self.detail.model is not None:
            self._desktop.reveal(self.detail.model.path)

    # A file dropped onto the page

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() and url.toLocalFile().lower().endswith(".gguf") for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        for url in event.mimeData().urls():
            if url.isLocalFile() and url.toLocalFile().lower().endswith(".gguf"):
                self.add(Path(url.toLocalFile()))
        event.acceptProposedAction()
