"""Web pages and names of this computer: who was refused, and who is let in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.gui.bridge import Bridge
from app.gui.controls import Card, Mark, Switch, button, label
from app.gui.icons import IconRole, icon
from app.gui.server.rows import Row, RowList
from app.gui.theme import Theme
from app.service.refusals import CallerKind, RefusedCaller
from app.service.services import Services
from app.settings import Settings

__all__ = ["AllowedCallers", "RefusedCallers"]


class RefusedCallers(QWidget):
    """A notice for each caller that was turned away, with a button that lets it in."""

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self.notices: list[RefusedNotice] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(Theme.GAP)
        self.hide()
        bridge.watch(services.refusals.changed, self.show_callers)
        task = bridge.call(lambda: services.refusals.callers, self)
        task.succeeded.connect(self.show_callers)
        task.start()

    def show_callers(self, callers: tuple[RefusedCaller, ...]) -> None:
        for old in self.notices:
            old.hide()
            old.deleteLater()
        self.notices = [
            RefusedNotice(caller, allow=partial(self._allow, caller), ignore=partial(self._ignore, caller))
            for caller in callers
        ]
        for notice in self.notices:
            self._column.addWidget(notice)
        self.setVisible(bool(self.notices))

    def _allow(self, caller: RefusedCaller) -> None:
        services = self._services

        def allow() -> None:
            settings = services.settings.current
            match caller.kind:
                case CallerKind.PAGE:
                    services.settings.update(allowed_origins=tuple(dict.fromkeys((*settings.allowed_origins, caller.name))))
                case CallerKind.HOST:
                    services.settings.update(allowed_hosts=tuple(dict.fromkeys((*settings.allowed_hosts, caller.name))))
            services.refusals.forget(caller.kind, caller.name)

        self._bridge.call(allow, self).start()

    def _ignore(self, caller: RefusedCaller) -> None:
        self._bridge.call(lambda: self._services.refusals.dismiss(caller.kind, caller.name), self).start()


class RefusedNotice(QFrame):
    def __init__(self, caller: RefusedCaller, *, allow: Callable[[], None], ignore: Callable[[], None]) -> None:
        super().__init__()
        self.setProperty("role", "notice")
        match caller.kind:
            case CallerKind.PAGE:
                told = self.tr("A web page of {0} asked for the server and was refused. Allow it if you know that page.")
            case CallerKind.HOST:
                told = self.tr(
                    "A program asked for the server by the name {0} and was refused. Allow it if this is your computer."
                )
        self.allow_button = button(self.tr("Allow"), name=self.tr("Allow {0}").format(caller.name))
        self.ignore_button = button(self.tr("Ignore"), kind="quiet", name=self.tr("Ignore {0}").format(caller.name))
        self.allow_button.clicked.connect(lambda: allow())
        self.ignore_button.clicked.connect(lambda: ignore())
        row = QHBoxLayout(self)
        row.setContentsMargins(Theme.PAD, Theme.GAP, Theme.PAD, Theme.GAP)
        row.setSpacing(Theme.PAD)
        row.addWidget(Mark(icon("info", role=IconRole.ACCENT)))
        row.addWidget(label(told.format(caller.name), wrap=True), 1)
        row.addWidget(self.ignore_button)
        row.addWidget(self.allow_button)


class AllowedCallers(Card):
    """Who was let in by hand, each until it is removed; and whether requests may have pictures fetched."""

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self.rows = RowList()
        self.fetch_switch = Switch(self.tr("Fetch pictures from the web for requests"))
        self.body.addWidget(label(self.tr("Web pages"), "heading"))
        hint = self.tr(
            "Pages of this computer and of installed programs may use the server. Others are refused and shown above, so "
            "that you can allow them."
        )
        self.body.addWidget(label(hint, "caption", wrap=True))
        self.body.addWidget(self.rows)
        line = QHBoxLayout()
        line.addWidget(label(self.tr("Fetch pictures from public web addresses that requests name")), 1)
        line.addWidget(self.fetch_switch)
        self.body.addLayout(line)
        self.fetch_switch.clicked.connect(lambda on: self._update(fetch_images=on))

    def show_settings(self, settings: Settings) -> None:
        self.fetch_switch.setChecked(settings.fetch_images)
        lists = (("allowed_origins", settings.allowed_origins), ("allowed_hosts", settings.allowed_hosts))
        self.rows.show_rows(
            Row(
                name,
                "",
                self.tr("Remove"),
                self.tr("Refuse {0} again").format(name),
                partial(self._remove, setting, name, names),
            )
            for setting, names in lists
            for name in names
        )

    def _remove(self, setting: str, name: str, names: tuple[str, ...]) -> None:
        self._update(**{setting: tuple(one for one in names if one != name)})

    def _update(self, **changes: object) -> None:
        self._bridge.call(lambda: self._services.settings.update(**changes), self).start()
