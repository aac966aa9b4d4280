"""One repository on the hub: its facts, which of its files fits best, its model card."""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QMouseEvent, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.domain.errors import AccessDenied, ModelLoadFailed
from app.domain.fit import Fit, FitVerdict
from app.domain.models import Capability, InstalledModel, RemoteFile, RemoteRepository
from app.gui.bridge import Bridge
from app.gui.controls import Banner, CopyButton, ElidedLabel, EmptyState, button, chip, clear, label, tool_button
from app.gui.desktop import Desktop
from app.gui.errands import Errands
from app.gui.errors import sentence
from app.gui.figures import age_text, capability_text, context_text, count_text, parameters_text, size_text
from app.gui.flow import FlowLayout
from app.gui.models.card_view import CardView
from app.gui.models.fit_words import fit_text
from app.gui.models.hub_files import Column, HubFilesDelegate, HubFilesModel
from app.gui.models.hub_gate import HubGate
from app.gui.models.hub_lookup import Named
from app.gui.theme import Theme
from app.service.services import Services

__all__ = ["RepositoryPage"]

_PREFERRED = ("Q4_K_M", "UD-Q4_K_XL", "Q5_K_M", "Q4_K_S", "Q8_0")
_SHOWN = (Capability.VISION, Capability.AUDIO, Capability.REASONING, Capability.TOOLS, Capability.EMBEDDING, Capability.RERANK)


class RepositoryPage(QWidget):
    """`download_asked` carries (RemoteRepository, RemoteFile, RemoteFile | None); `left` says that this is no longer wanted."""

    download_asked = Signal(object, object, object)
    left = Signal()

    def __init__(
        self, services: Services, bridge: Bridge, parent: QWidget | None = None, *, desktop: Desktop | None = None
    ) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._desktop = desktop or Desktop()
        self._named = Named("")
        self._repository: RemoteRepository | None = None
        self._installed: tuple[InstalledModel, ...] = ()
        self._errands = Errands(bridge, self)
        self._chosen_by_hand = False
        self._make_head()
        self.banner = Banner()
        self.notice = Banner(problem=False)
        self.gate = HubGate(services, bridge)
        self.files = HubFilesModel(self)
        self.table = self._make_table()
        self.card = CardView(services, bridge)
        self._make_choice()
        self._lay_out()
        self._connect()

    # --------------------------------------------------------------------------------------------------------- building
    def _make_head(self) -> None:
        self.back_button = tool_button("chevron-left", self.tr("Back to the search"))
        self._title = ElidedLabel(role="heading")
        self._copy = CopyButton(lambda: self._named.repository, self.tr("Copy the repository's name"))
        self.page_button = tool_button("external", self.tr("Open its page on the hub in the browser"))
        self._facts = label(role="caption", wrap=True)
        self._chips_holder = QWidget()
        self._chips = FlowLayout(self._chips_holder, gap=Theme.TIGHT)
        self.files_button = _segment(self.tr("Files"), "first")
        self.card_button = _segment(self.tr("Model card"), "last")

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.files)
        table.setItemDelegate(HubFilesDelegate(table))
        table.setMouseTracking(True)
        table.setAccessibleName(self.tr("Model files in this repository"))
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        table.setShowGrid(False)
        table.setTabKeyNavigation(False)
        table.setMinimumHeight(110)
        table.verticalHeader().hide()
        table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(Column.QUANTIZATION, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(Column.SIZE, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(Column.FIT, QHeaderView.ResizeMode.ResizeToContents)
        return table

    def _make_choice(self) -> None:
        self._choice = label(role="strong", wrap=True)
        self._fit = label(role="caption", wrap=True)
        self.projector_box = QCheckBox(self.tr("With its projector, so that it sees pictures"))
        self.download_button = button(self.tr("Download"), "download", kind="primary", name=self.tr("Download the chosen file"))

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(Theme.GAP)
        top.addWidget(self.back_button)
        top.addWidget(self._title, 1)
        top.addWidget(self._copy)
        top.addWidget(self.page_button)
        segments = QHBoxLayout()
        segments.setSpacing(0)
        segments.addWidget(self.files_button)
        segments.addWidget(self.card_button)
        segments.addStretch()
        self._parts = QStackedWidget()
        self._parts.addWidget(self._files_part())
        self._parts.addWidget(self.card)
        found = QWidget()
        inner = QVBoxLayout(found)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(Theme.GAP)
        inner.addWidget(self._facts)
        inner.addWidget(self._chips_holder)
        inner.addLayout(segments)
        inner.addWidget(self._parts, 1)
        self._empty = EmptyState("models", "")
        self._stack = QStackedWidget()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(found)
        self._stack.addWidget(self.gate)
        self._found_page = found
        column = QVBoxLayout(self)
        column.setContentsMargins(0, Theme.PAD, 0, 0)
        column.setSpacing(Theme.GAP)
        column.addLayout(top)
        column.addWidget(self.banner)
        column.addWidget(self.notice)
        column.addWidget(self._stack, 1)

    def _files_part(self) -> QWidget:
        part = QWidget()
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self._choice)
        words.addWidget(self._fit)
        footer = QHBoxLayout()
        footer.setSpacing(Theme.ROOM)
        footer.addLayout(words, 1)
        footer.addWidget(self.download_button, 0, Qt.AlignmentFlag.AlignVCenter)
        column = QVBoxLayout(part)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.GAP)
        column.addWidget(self.table, 1)
        column.addLayout(footer)
        column.addWidget(self.projector_box)
        return part

    def _connect(self) -> None:
        group = QButtonGroup(self)
        for number, made in enumerate((self.files_button, self.card_button)):
            group.addButton(made, number)
        group.idClicked.connect(self._show_part)
        self.back_button.clicked.connect(lambda: self.left.emit())
        self.page_button.clicked.connect(self._open_page)
        self.gate.page_asked.connect(self._open_page)
        self.gate.opened.connect(self._look_again)
        self.gate.left.connect(self._leave_gate)
        self.notice.acted.connect(self._show_gate)
        self.banner.acted.connect(self._look_again)
        self.download_button.clicked.connect(self._download)
        self.table.activated.connect(self._download)
        self.table.clicked.connect(lambda _: self._choose_by_hand())
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._show_choice())
        self.projector_box.toggled.connect(lambda _: self._show_choice())
        for keys in (QKeySequence(QKeySequence.StandardKey.Back), QKeySequence("Escape")):
            QShortcut(keys, self, self.left.emit, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self._bridge.watch(self._services.library.changed, self._take_installed)
        self._bridge.watch(self._services.fit.changed, lambda _: self._rate_again())

    # ---------------------------------------------------------------------------------------------------------- looking
    def look_at(self, named: Named) -> None:
        """Show a repository, and point to the quantization that was meant."""
        self.leave()
        self._named = named
        self._chosen_by_hand = False
        self._title.set_full_text(named.repository)
        self.banner.tell("")
        self.notice.tell("")
        self._empty.tell(self.tr("Looking…"), "")
        self._stack.setCurrentWidget(self._empty)
        self.files_button.setChecked(True)
        self._show_part(0)
        self._errands.start(self._read(named.repository), self._found, self._not_found)

    def leave(self) -> None:
        """Stop asking for what nobody waits for any more."""
        self._errands.drop()
        self.card.clear()
        self.files.set_files(())
        self._repository = None

    async def _read(self, name: str) -> tuple[RemoteRepository, tuple[InstalledModel, ...]]:
        """On the service loop."""
        return await self._services.hub.repository(name), self._services.library.models

    def _look_again(self) -> None:
        self.look_at(self._named)

    def _not_found(self, error: Exception) -> None:
        self._empty.tell(self.tr("This repository can't be shown"), "")
        if isinstance(error, AccessDenied):
            self._show_gate()
        else:
            self.banner.tell(sentence(error), self.tr("Try again"))

    def _found(self, found: tuple[RemoteRepository, tuple[InstalledModel, ...]]) -> None:
        repository, self._installed = found
        self._repository = repository
        self._title.set_full_text(repository.id)
        self._facts.setText(self._about(repository))
        self._fill_chips(repository)
        if repository.gated:
            # Whether the licence has been accepted shows when a file is asked for.
            self._errands.start(self._services.hub_access.token(), lambda token: None if token else self._tell_of_gate())
        if not repository.models:
            hint = self.tr("Hearth runs models in the GGUF format. Look for a repository whose name ends in “-GGUF”.")
            self._empty.tell(self.tr("No GGUF files here"), hint)
            return
        self.files.set_files(repository.models)
        self.files.set_installed(self._names_installed())
        self._offer_projector(repository)
        self.table.selectRow(self._usual())
        self._show_choice()
        self._stack.setCurrentWidget(self._found_page)
        self.table.setFocus()
        self._rate(repository)

    def _tell_of_gate(self) -> None:
        if self._stack.currentWidget() is not self.gate:
            self.notice.tell(self.tr("This repository is gated: its licence has to be accepted first."), self.tr("Get access…"))

    def _show_gate(self) -> None:
        self.notice.tell("")
        self.gate.leave_button.setVisible(self._repository is not None)
        self._stack.setCurrentWidget(self.gate)

    def _leave_gate(self) -> None:
        self._stack.setCurrentWidget(self._found_page)
        self._tell_of_gate()
        self.table.setFocus()

    # ----------------------------------------------------------------------------------------------------------- rating
    def _rate(self, repository: RemoteRepository) -> None:
        fit, hub = self._services.fit, self._services.hub
        for file in repository.models:
            self._errands.start(
                fit.remote(repository, file, hub.best_projector(repository, file)),
                partial(self._take_fit, file),
                partial(self._take_fit, file),
            )
        self._errands.start(fit.recommended(repository), self._take_recommended)

    def _rate_again(self) -> None:
        if self._repository is not None and self.isVisible():
            self._rate(self._repository)

    def _take_fit(self, file: RemoteFile, found: Fit | Exception) -> None:
        if isinstance(found, AccessDenied):
            self._tell_of_gate()
        match found:
            case Fit():
                self.files.set_fit(file, found)
            case ModelLoadFailed():
                # Nothing was loaded, nor even downloaded.
                self.files.set_fit(file, self.tr("Whether it fits can't be told: {0}").format(found.reason))
            case _:
                self.files.set_fit(file, sentence(found))
        self._show_choice()

    def _take_recommended(self, file: RemoteFile | None) -> None:
        row = self.files.row_of(file) if file is not None else None
        if file is None or row is None:
            return
        self.files.set_recommended(file)
        if not self._chosen_by_hand and not self._named.quantization:
            self.table.selectRow(row)
            self.table.scrollTo(self.files.index(row, 0))

    def _usual(self) -> int:
        """The row to begin with: what was meant, else a common quantization, else the smallest file."""
        rows = (self.files.row_of_quantization(name) for name in (self._named.quantization, *_PREFERRED) if name)
        return next((row for row in rows if row is not None), 0)

    # ---------------------------------------------------------------------------------------------------------- showing
    def _about(self, repository: RemoteRepository) -> str:
        facts = [
            self.tr("{0} parameters").format(parameters_text(repository.parameters)) if repository.parameters else "",
            repository.architecture,
            self.tr("context {0}").format(context_text(repository.n_ctx_train)) if repository.n_ctx_train else "",
            self.tr("licence {0}").format(repository.license) if repository.license else self.tr("no licence stated"),
            self.tr("{0} downloads").format(count_text(repository.downloads)) if repository.downloads else "",
            self.tr("{0} likes").format(count_text(repository.likes)) if repository.likes else "",
            self.tr("updated {0}").format(age_text(repository.updated)) if repository.updated else "",
            self.tr("made of {0}").format(repository.base_model) if repository.base_model else "",
        ]
        # Lines break after a dot, and nowhere else.
        return "\u00a0\u00a0·  ".join(fact.replace(" ", "\u00a0") for fact in facts if fact)

    def _fill_chips(self, repository: RemoteRepository) -> None:
        clear(self._chips)
        shown = [capability for capability in _SHOWN if capability in repository.capabilities]
        for capability in shown:
            self._chips.addWidget(chip(capability_text(capability), "badge" if capability is Capability.VISION else "chip"))
        if repository.gated:
            self._chips.addWidget(chip(self.tr("Gated")))
        self._chips_holder.setVisible(bool(shown) or repository.gated)

    def _offer_projector(self, repository: RemoteRepository) -> None:
        self.projector_box.setChecked(True)
        self.projector_box.setVisible(bool(repository.projectors))

    def _show_part(self, number: int) -> None:
        self._parts.setCurrentIndex(number)
        if number == 1 and self._repository is not None:
            self.card.read(self._repository)

    def _chosen(self) -> tuple[RemoteRepository, RemoteFile, RemoteFile | None] | None:
        rows = self.table.selectionModel().selectedRows()
        if not rows or self._repository is None:
            return None
        file = self.files.file(rows[0].row())
        return self._repository, file, self._services.hub.best_projector(self._repository, file)

    def _choose_by_hand(self) -> None:
        self._chosen_by_hand = True

    def _show_choice(self) -> None:
        chosen = self._chosen()
        self.download_button.setEnabled(chosen is not None)
        if chosen is None:
            return
        _, file, projector = chosen
        with_projector = projector is not None and self.projector_box.isChecked()
        size = file.size_bytes + (projector.size_bytes if projector is not None and with_projector else 0)
        name = file.quantization or PurePosixPath(file.label).stem
        installed = self.files.is_installed(file)
        self._choice.setText(self.tr("{0}, {1}").format(name, size_text(size)))
        if projector is not None:
            words = self.tr("With its projector, {0}, so that it sees pictures")
            self.projector_box.setText(words.format(size_text(projector.size_bytes)))
        self.projector_box.setVisible(projector is not None)
        self.download_button.setText(
            self.tr("Download again") if installed else self.tr("Download {0}").format(size_text(size))
        )
        self._show_fit(self.files.fit(file))

    def _show_fit(self, fit: Fit | str | None) -> None:
        too_large = isinstance(fit, Fit) and fit.verdict is FitVerdict.TOO_LARGE
        match fit:
            case Fit():
                text = f"{fit_text(fit)}."
            case None:
                text = self.tr("Looking whether it fits…")
            case reason:
                text = self.tr("Whether it fits can't be told: {0}").format(reason)
        self._fit.setText(text)
        role = "error" if too_large else "caption"
        if self._fit.property("role") != role:
            self._fit.setProperty("role", role)
            self._fit.style().polish(self._fit)

    # ----------------------------------------------------------------------------------------------------------- acting
    def _download(self) -> None:
        if (chosen := self._chosen()) is not None:
            repository, file, projector = chosen
            self.download_asked.emit(repository, file, projector if self.projector_box.isChecked() else None)

    def _open_page(self) -> None:
        name, hub = self._named.repository, self._services.hub
        task = self._bridge.call(lambda: f"{hub.endpoint}/{name}", self)
        task.succeeded.connect(self._desktop.open_page)
        task.start()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        if event.button() == Qt.MouseButton.BackButton:
            self.left.emit()

    # --------------------------------------------------------------------------------------------------------- plumbing
    def _take_installed(self, models: tuple[InstalledModel, ...]) -> None:
        self._installed = models
        if self._repository is not None:
            self.files.set_installed(self._names_installed())
            self._show_choice()

    def _names_installed(self) -> frozenset[str]:
        wanted = self._repository.id if self._repository is not None else ""
        here = [model for model in self._installed if model.is_from(wanted)]
        return frozenset(file.name for model in here for file in model.files)


def _segment(text: str, place: str) -> QPushButton:
    made = button(text, kind="segment")
    made.setCheckable(True)
    made.setProperty("place", place)
    return made
