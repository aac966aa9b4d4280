"""Finding a model on the hub: a repository's files, and which one to download."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.domain.models import RemoteFile, RemoteRepository
from app.gui.bridge import Bridge, Task
from app.gui.controls import Banner, ElidedLabel, EmptyState, button, label
from app.gui.errors import sentence
from app.gui.figures import size_text
from app.gui.models.hub_files import HubFilesModel
from app.gui.theme import Theme
from app.service.services import Services

__all__ = ["HubPanel"]

_PREFERRED = ("Q4_K_M", "UD-Q4_K_XL", "Q5_K_M", "Q4_K_S", "Q8_0")


class HubPanel(QWidget):
    """Look up, choose, download. `download_asked` carries (RemoteRepository, RemoteFile, RemoteFile | None)."""

    download_asked = Signal(object, object, object)

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._lookup: Task | None = None
        self._repository: RemoteRepository | None = None
        # The quantization to point to first, where the name was one of the catalogue's.
        self._usual = ""
        self.field = QLineEdit(placeholderText=self.tr("llama3.2, organisation/name, or the address of a model page"))
        self.field.setAccessibleName(self.tr("Repository on the hub"))
        self.field.setClearButtonEnabled(True)
        self.look_up_button = button(self.tr("Look up"), "search", name=self.tr("Look up this repository"))
        self.banner = Banner()
        self._title = label(role="heading")
        self._about = ElidedLabel(role="caption")
        self._gated = Banner(problem=False)
        self.files = HubFilesModel(self)
        self.table = self._make_table()
        self._choice = label(role="muted", wrap=True)
        self.download_button = button(self.tr("Download"), "download", kind="primary", name=self.tr("Download the chosen file"))
        self._empty = EmptyState(
            "download",
            self.tr("Get a model"),
            self.tr(
                "Enter the name of a well-known model, such as qwen3:4b, or a repository with GGUF files on huggingface.co."
            ),
        )
        self._stack = QStackedWidget()
        self._lay_out()
        self.field.returnPressed.connect(self.look_up)
        self.look_up_button.clicked.connect(self.look_up)
        self.banner.acted.connect(self.look_up)
        self.download_button.clicked.connect(self._download)
        self.table.activated.connect(self._download)
        self.table.selectionModel().selectionChanged.connect(self._choose)

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.files)
        table.setAccessibleName(self.tr("Model files in this repository"))
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setShowGrid(False)
        table.setTabKeyNavigation(False)
        table.setMinimumHeight(110)
        table.verticalHeader().hide()
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        for column in (0, 1):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        return table

    def _lay_out(self) -> None:
        search = QHBoxLayout()
        search.addWidget(self.field, 1)
        search.addWidget(self.look_up_button)
        found = QWidget()
        inner = QVBoxLayout(found)
        inner.setContentsMargins(0, Theme.GAP, 0, 0)
        inner.setSpacing(Theme.GAP)
        footer = QHBoxLayout()
        footer.addWidget(self._choice, 1)
        footer.addWidget(self.download_button, 0, Qt.AlignmentFlag.AlignVCenter)
        inner.addWidget(self._title)
        inner.addWidget(self._about)
        inner.addWidget(self._gated)
        inner.addWidget(self.table, 1)
        inner.addLayout(footer)
        self._stack.addWidget(self._empty)
        self._stack.addWidget(found)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, Theme.PAD, 0, 0)
        column.setSpacing(Theme.GAP)
        column.addLayout(search)
        column.addWidget(self.banner)
        column.addWidget(self._stack, 1)

    def look_up(self) -> None:
        """Read the repository named in the field."""
        name = self.field.text().strip()
        if not name:
            self.banner.tell(self.tr("Enter the name of a repository first, such as “organisation/name”."))
            return
        if self._lookup is not None:
            self._lookup.cancel()
        self.banner.tell("")
        self._stack.setCurrentIndex(0)
        self._empty.tell(self.tr("Looking…"), name)
        self.look_up_button.setEnabled(False)
        known = self._services.library.catalogue.meaning(name)
        self._usual = known.model.quantization if known is not None else ""
        self._lookup = self._bridge.submit(self._services.hub.repository(known.model.repository if known else name), self)
        self._lookup.succeeded.connect(self._found)
        self._lookup.failed.connect(self._not_found)
        self._lookup.cancelled.connect(self._rest)
        self._lookup.start()

    def _rest(self) -> None:
        self._lookup = None
        self.look_up_button.setEnabled(True)

    def _not_found(self, error: Exception) -> None:
        self._rest()
        self._empty.tell(self.tr("Nothing found"), "")
        self.banner.tell(sentence(error), self.tr("Try again"))

    def _found(self, repository: RemoteRepository) -> None:
        self._rest()
        self._repository = repository
        self._title.setText(repository.id)
        facts = [repository.license and self.tr("Licence: {0}").format(repository.license)]
        facts.append(self.tr("Downloads: {0}").format(repository.downloads) if repository.downloads else "")
        facts.append(self.tr("with a projector for pictures") if repository.projectors else "")
        self._about.set_full_text("  ·  ".join(fact for fact in facts if fact))
        self._gated.tell(
            self.tr(
                "Its licence has to be accepted on the hub's page first; then start Hearth with your access token in HF_TOKEN."
            )
            if repository.gated
            else ""
        )
        if not repository.models:
            self._empty.tell(
                self.tr("No GGUF files here"),
                self.tr("Hearth runs models in the GGUF format. Look for a repository whose name ends in “-GGUF”."),
            )
            self._stack.setCurrentIndex(0)
            return
        self.files.set_files(repository.models)
        self.table.selectRow(self._recommended())
        self._stack.setCurrentIndex(1)

    def _recommended(self) -> int:
        """The row a person most likely wants: a common quantization, else the smallest file."""
        known = [self.files.file(row).quantization for row in range(self.files.rowCount())]
        return next((known.index(one) for one in (self._usual, *_PREFERRED) if one in known), 0)

    def _chosen(self) -> tuple[RemoteRepository, RemoteFile, RemoteFile | None] | None:
        rows = self.table.selectionModel().selectedRows()
        if not rows or self._repository is None:
            return None
        file = self.files.file(rows[0].row())
        return self._repository, file, self._services.hub.best_projector(self._repository, file)

    def _choose(self) -> None:
        chosen = self._chosen()
        self.download_button.setEnabled(chosen is not None)
        if chosen is None:
            self._choice.setText("")
            return
        _, file, projector = chosen
        text = self.tr("{0}, {1}").format(file.quantization or file.label, size_text(file.size_bytes))
        if projector is not None:
            text = self.tr("{0}, and its projector for pictures, {1}").format(text, size_text(projector.size_bytes))
        self._choice.setText(text)

    def _download(self) -> None:
        if (chosen := self._chosen()) is not None:
            self.download_asked.emit(*chosen)
