"""Looking for models: what is recommended and trending, and what is found for words and filters."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QListView, QStackedWidget, QVBoxLayout, QWidget

from app.domain.fit import FitVerdict
from app.gui.bridge import Bridge
from app.gui.controls import Banner, EmptyState, button, label
from app.gui.errands import Errands
from app.gui.errors import sentence
from app.gui.icons import IconRole, icon
from app.gui.models.hub_filters import HubFilters
from app.gui.models.hub_hits import Heading, HitRowDelegate, HitsModel, Row
from app.gui.models.hub_lookup import FoundPage, Hit, HubLookup, Named, Suggestion
from app.gui.theme import Theme
from app.service.services import Services
from app.settings import Settings

__all__ = ["HubSearch"]

_TYPING_MS = 350
# So many empty pages are followed without being asked, where few of many hits pass the filters.
_BARREN = 2


class HubSearch(QWidget):
    """`opened` carries a Named: the repository to look at. Asks the hub only while it is seen."""

    opened = Signal(object)

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lookup = HubLookup(services)
        self._settings = services.settings.current
        self._errands = Errands(bridge, self)
        self._asked = False
        self._known: tuple[Suggestion, ...] = ()
        self._hits: tuple[Hit, ...] = ()
        self._verdicts: dict[str, FitVerdict] = {}
        self._next = ""
        self._loading = False
        self._barren = 0
        self.field = _SearchField(placeholderText=self.tr("Search, or enter qwen3:4b, organisation/name, or an address"))
        self.field.setAccessibleName(self.tr("Search for models"))
        self.field.setClearButtonEnabled(True)
        self.field.addAction(icon("search", role=IconRole.MUTED), QLineEdit.ActionPosition.LeadingPosition)
        self.filters = HubFilters()
        self.banner = Banner()
        self.hits = HitsModel(self)
        self.list = self._make_list()
        self._empty = EmptyState("search", "")
        self._stack = QStackedWidget()
        self._note = label(role="caption")
        self.further_button = button(self.tr("Look further"), name=self.tr("Look for more that pass the filters"))
        self._typing = QTimer(self, interval=_TYPING_MS, singleShot=True)
        self._lay_out()
        self._connect()
        bridge.watch(services.settings.changed, self._take_settings)

    def _make_list(self) -> QListView:
        made = QListView()
        made.setModel(self.hits)
        made.setItemDelegate(HitRowDelegate(made))
        made.setMouseTracking(True)
        made.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        made.setAccessibleName(self.tr("Models found"))
        made.setMinimumHeight(120)
        return made

    def _lay_out(self) -> None:
        footer = QHBoxLayout()
        footer.addWidget(self._note, 1)
        footer.addWidget(self.further_button)
        self.further_button.hide()
        self._note.hide()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self.list)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, Theme.PAD, 0, 0)
        column.setSpacing(Theme.GAP)
        column.addWidget(self.field)
        column.addWidget(self.filters)
        column.addWidget(self.banner)
        column.addWidget(self._stack, 1)
        column.addLayout(footer)

    def _connect(self) -> None:
        self.field.textEdited.connect(lambda _: self._typing.start())
        self.field.textChanged.connect(lambda text: None if text or self.field.hasFocus() else self._typing.start())
        self.field.returnPressed.connect(self._enter)
        self.field.left_downwards.connect(self._enter_list)
        self._typing.timeout.connect(self.search)
        self.filters.changed.connect(self.search)
        self.banner.acted.connect(self._try_again)
        self.further_button.clicked.connect(self._look_further)
        self.list.clicked.connect(self._open)
        self.list.activated.connect(self._open)
        bar = self.list.verticalScrollBar()
        bar.valueChanged.connect(lambda _: self._fill())
        bar.rangeChanged.connect(lambda *_: self._fill())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._asked:
            self.search()

    @property
    def empty_text(self) -> str:
        """What stands in place of the list; "" while there is one."""
        return self._empty.text if self._stack.currentWidget() is self._empty else ""

    # ------------------------------------------------------------------------------------------------------- searching
    def search(self) -> None:
        """Look again for what the field and the filters say."""
        self._typing.stop()
        self._errands.drop()
        self._asked = True
        self._known, self._hits, self._next, self._barren = (), (), "", 0
        self._verdicts = {}
        self.banner.tell("")
        self.further_button.hide()
        text = self.field.text().strip()
        # What was found stays until something else is, unless it can't be told apart from it.
        if not self.hits.rowCount():
            self._tell_empty(self.tr("Looking…"), "")
        self._tell_note(self.tr("Looking…"))
        if text:
            self._errands.start(self._lookup.known(text, self.filters.capabilities), self._take_known)
        elif not self.filters.are_set:
            self._errands.start(self._lookup.suggestions(), self._take_known)
        self._ask("")

    def _ask(self, cursor: str) -> None:
        self._loading = True
        query = self.filters.query(self.field.text().strip())
        if cursor:
            query = replace(query, cursor=cursor)
            self._tell_note(self.tr("Looking for more…"))
        take = self._take_more if cursor else self._take_first
        self._errands.start(self._lookup.page(query, only_fitting=self.filters.only_fitting), take, self._fail)

    def _take_known(self, known: tuple[Suggestion, ...]) -> None:
        self._known = known
        # Not into a list that a person already reads.
        if known and not (self._hits and self.list.verticalScrollBar().value()):
            self._show_rows()

    def _take_first(self, page: FoundPage) -> None:
        self._hits = page.hits
        self._arrived(page)
        self._show_rows()
        self.list.scrollToTop()
        self._rate(page.hits)
        self._fill()

    def _take_more(self, page: FoundPage) -> None:
        self._hits += page.hits
        self._arrived(page)
        self.hits.add_rows(page.hits)
        self._rate(page.hits)
        self._fill()

    def _rate(self, hits: tuple[Hit, ...]) -> None:
        self._errands.start(self._lookup.verdicts(hits), self._take_verdicts)

    def _take_verdicts(self, verdicts: dict[str, FitVerdict]) -> None:
        self._verdicts |= verdicts
        self.hits.set_verdicts(self._verdicts)

    def _arrived(self, page: FoundPage) -> None:
        self._loading = False
        self._next = page.next
        self._barren = 0 if page.hits else self._barren + 1
        stuck = bool(page.next) and self._barren > _BARREN
        self.further_button.setVisible(stuck)
        self._tell_note(self.tr("Few pass these filters.") if stuck else "")

    def _fail(self, error: Exception) -> None:
        self._loading = False
        self._tell_note("")
        self.banner.tell(sentence(error), self.tr("Try again"))
        if not self._hits:
            self._show_rows()

    def _try_again(self) -> None:
        self.banner.tell("")
        if self._hits and self._next:
            self._ask(self._next)
        else:
            self.search()

    def _look_further(self) -> None:
        self._barren = 0
        self.further_button.hide()
        self.list.setFocus()
        self._ask(self._next)

    def _fill(self) -> None:
        """Ask for the next page before the end of the list is reached."""
        bar = self.list.verticalScrollBar()
        is_near = bar.value() >= bar.maximum() - self.list.viewport().height()
        if self._next and is_near and not self._loading and not self.banner.text and self._barren <= _BARREN:
            self._ask(self._next)

    # ---------------------------------------------------------------------------------------------------------- showing
    def _show_rows(self) -> None:
        rows: list[Row] = []
        words = bool(self.field.text().strip())
        if self._known:
            rows.append(Heading(self.tr("Well known") if words else self.tr("Recommended for this computer")))
            rows += self._known
        if self._hits:
            rows.append(Heading(self._hub_heading(words=words)))
            rows += self._hits
        self.hits.set_rows(rows)
        self.hits.set_verdicts(self._verdicts)
        if rows:
            self._stack.setCurrentWidget(self.list)
        elif self._loading:
            self._tell_empty(self.tr("Looking…"), "")
        elif self.banner.text:
            self._tell_empty(self.tr("Nothing to show"), "")
        else:
            self._tell_empty(self.tr("Nothing found"), self._advice())

    def _hub_heading(self, *, words: bool) -> str:
        if words or self.filters.are_set:
            return self.tr("On the hub")
        return self.tr("On the hub: {0}").format(self.filters.sort.accessibleName().partition(": ")[2])

    def _advice(self) -> str:
        if self.filters.are_set:
            return self.tr("Fewer filters, or other words, may find more.")
        return self.tr("Other words may find more. Hearth runs models in the GGUF format, and looks for those alone.")

    def _tell_empty(self, title: str, hint: str) -> None:
        self._empty.tell(title, hint)
        self._stack.setCurrentWidget(self._empty)

    def _tell_note(self, text: str) -> None:
        self._note.setText(text)
        self._note.setVisible(bool(text) and self._stack.currentWidget() is self.list)

    # ---------------------------------------------------------------------------------------------------------- opening
    def _enter(self) -> None:
        """A name or an address is opened; words are looked for at once."""
        text = self.field.text().strip()
        if text:
            self._typing.stop()
            self.banner.tell("")
            self._errands.start(self._lookup.named(text), self._take_name, lambda error: self.banner.tell(sentence(error)))

    def _take_name(self, named: Named | None) -> None:
        if named is not None:
            self.opened.emit(named)
        else:
            self.search()

    def _enter_list(self) -> None:
        index = self.list.currentIndex()
        if not index.isValid():
            index = self.hits.first_hit()
        if index.isValid():
            self.list.setFocus()
            self.list.setCurrentIndex(index)

    def _open(self, index: QModelIndex) -> None:
        named = self.hits.named(index)
        if named is not None and self.isVisible():
            self.opened.emit(named)

    # --------------------------------------------------------------------------------------------------------- plumbing
    def _take_settings(self, settings: Settings) -> None:
        """Another hub finds other models."""
        before, self._settings = self._settings, settings
        if any(getattr(before, name) != getattr(settings, name) for name in ("hub_endpoint", "hub_proxy", "hub_offline")):
            self._asked = False
            if self.isVisible():
                self.search()


class _SearchField(QLineEdit):
    """The arrow key leads into the list below."""

    left_downwards = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Down:
            self.left_downwards.emit()
        else:
            super().keyPressEvent(event)
