"""What stands before a gated repository: its licence, and an access token."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.gui.bridge import Bridge
from app.gui.controls import Card, Mark, button, label
from app.gui.icons import IconRole, icon
from app.gui.settings.hub_token import TokenField
from app.gui.theme import Theme
from app.service.services import Services

__all__ = ["HubGate"]


class HubGate(QScrollArea):
    """`page_asked` says that the licence is to be seen, `opened` that a token was kept and another try makes sense, `left` that
    the rest is wanted without."""

    page_asked = Signal()
    opened = Signal()
    left = Signal()

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setAccessibleName(self.tr("Access to a gated repository"))
        self.page_button = button(self.tr("Read and accept the licence"), "external")
        self.retry_button = button(self.tr("I have done that"), "refresh", name=self.tr("Try again with the access token"))
        self.leave_button = button(self.tr("Not now"), kind="quiet", name=self.tr("Back to the files without access"))
        self.token = TokenField(services, bridge)
        self.page_button.clicked.connect(lambda: self.page_asked.emit())
        self.retry_button.clicked.connect(lambda: self.opened.emit())
        self.leave_button.clicked.connect(lambda: self.left.emit())
        self.token.saved.connect(self.opened)
        self._lay_out()

    def _lay_out(self) -> None:
        card = Card()
        title = QHBoxLayout()
        title.setSpacing(Theme.GAP)
        title.addWidget(Mark(icon("lock", role=IconRole.ACCENT)))
        title.addWidget(label(self.tr("This repository is gated"), "heading"), 1)
        first = self.tr("Its publisher wants you to accept a licence first: on its page, signed in to the hub.")
        second = self.tr("Then Hearth needs an access token of your account, once for all such repositories.")
        licence, last = QHBoxLayout(), QHBoxLayout()
        licence.addWidget(self.page_button)
        licence.addStretch()
        last.addWidget(self.retry_button)
        last.addWidget(self.leave_button)
        last.addStretch()
        card.body.setSpacing(Theme.PAD)
        card.body.addLayout(title)
        card.body.addWidget(label(first, wrap=True))
        card.body.addLayout(licence)
        card.body.addWidget(label(second, wrap=True))
        card.body.addWidget(self.token)
        card.body.addLayout(last)
        body = QWidget()
        body.setProperty("role", "page")
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, Theme.PAD, 0)
        column.addWidget(card)
        column.addStretch()
        card.setMaximumWidth(640)
        self.setWidget(body)
