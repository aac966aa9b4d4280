"""Which model answers programs that ask for one that is not here."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QGridLayout, QMenu, QSizePolicy, QToolButton, QWidget

from app.domain.models import Capability, InstalledModel
from app.gui.bridge import Bridge
from app.gui.controls import label
from app.gui.figures import name_among
from app.gui.icons import IconRole, icon
from app.gui.theme import Theme
from app.service.services import Services
from app.settings import Settings

__all__ = ["FallbackField"]


class FallbackField(QWidget):
    """A button with the models that can answer in its menu; what is chosen there is kept at once."""

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._models: tuple[InstalledModel, ...] = ()
        self._chosen = ""
        self.menu = QMenu(self)
        self.button = QToolButton()
        self.button.setMenu(self.menu)
        self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        # Turned, to have the arrow behind the text; the menu is not.
        self.menu.setLayoutDirection(self.layoutDirection())
        self.button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self.button.setIcon(icon("chevron-down", role=IconRole.MUTED))
        name = label(self.tr("Answer any other name with"))
        name.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        hint = self.tr(
            "Some programs only ask for names such as “gpt-4o-mini”. Without a choice here, they hear that it is not installed."
        )
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(Theme.TIGHT)
        grid.addWidget(name, 0, 0)
        grid.addWidget(self.button, 0, 1)
        grid.addWidget(label(hint, "caption", wrap=True), 1, 0, 1, 2)
        bridge.watch(services.library.changed, self._show_models)
        bridge.watch(services.settings.changed, self._show_settings)
        task = bridge.call(lambda: (services.library.models, services.settings.current), self)
        task.succeeded.connect(self._show_all)
        task.start()
        self._fill()

    def choose(self, model_id: str) -> None:
        """What a click in the menu does. "" has unknown names refused."""
        self._bridge.call(lambda: self._services.settings.update(fallback_model=model_id), self).start()

    def _show_all(self, found: tuple[tuple[InstalledModel, ...], Settings]) -> None:
        self._models, settings = found
        self._show_settings(settings)

    def _show_models(self, models: tuple[InstalledModel, ...]) -> None:
        self._models = models
        self._fill()

    def _show_settings(self, settings: Settings) -> None:
        self._chosen = settings.fallback_model
        self._fill()

    def _fill(self) -> None:
        self.menu.clear()
        group = QActionGroup(self.menu)
        nobody = self.tr("No model")
        choices = {"": nobody} | {m.id: name_among(self._models, m) for m in self._models if m.can(Capability.CHAT)}
        if self._chosen not in choices:
            choices[self._chosen] = self.tr("{0} (not installed)").format(self._chosen)
        for model_id, text in choices.items():
            group.addAction(self._action(model_id, text))
        chosen = choices[self._chosen]
        self.button.setText(self.fontMetrics().elidedText(chosen, Qt.TextElideMode.ElideMiddle, 320))
        self.button.setAccessibleName(self.tr("Model that answers any other name: {0}").format(chosen))

    def _action(self, model_id: str, text: str) -> QAction:
        action = QAction(text.replace("&", "&&"), self.menu)
        action.setCheckable(True)
        action.setChecked(model_id == self._chosen)
        action.triggered.connect(lambda: self.choose(model_id))
        self.menu.addAction(action)
        return action
