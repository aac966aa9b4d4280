"""Choosing the model that answers, and watching it load."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QProgressBar, QToolButton, QVBoxLayout, QWidget

from app.domain.models import Capability, InstalledModel, LoadedModel, ModelState
from app.gui.bridge import Bridge
from app.gui.errors import sentence
from app.gui.figures import name_among, size_text
from app.gui.icons import IconRole, icon
from app.gui.tooltips import plain_tooltip
from app.service.services import Services

__all__ = ["ModelPicker"]


class ModelPicker(QWidget):
    """A button with the models in its menu. `model_chosen` carries an InstalledModel or None; `problem` a sentence, "" if none.

    `changed` tells that the chosen model's state in memory is another.
    """

    model_chosen = Signal(object)
    problem = Signal(str)
    changed = Signal(object)
    models_page_wanted = Signal()

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._models: tuple[InstalledModel, ...] = ()
        self._wanted = services.settings.current.last_model
        self._loading = ""
        self._menu = QMenu(self)
        self._menu.setToolTipsVisible(True)
        # A menu takes the direction of the button, which is only turned to have its arrow behind its text.
        self._menu.setLayoutDirection(self.layoutDirection())
        self._button = QToolButton(self)
        self._button.setMenu(self._menu)
        self._button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self._button.setIcon(icon("chevron-down", role=IconRole.MUTED))
        self._button.setShortcut(QKeySequence("Ctrl+L"))
        self._button.setToolTip(self.tr("Choose a model (Ctrl+L)"))
        self.bar = QProgressBar()
        """How far the chosen model is loaded; the owner puts it where there is room."""
        self.bar.setObjectName("loading")
        self.bar.setRange(0, 100)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(self.tr("Loading the model"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._button)
        keep = self.bar.sizePolicy()
        keep.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(keep)
        self.bar.hide()
        bridge.watch(services.library.changed, self._show_models)
        bridge.watch(services.models.changed, self._show_state)
        task = bridge.submit(_models(services), self)
        task.succeeded.connect(self._show_models)
        task.start()
        self._name()

    # ------------------------------------------------------------------------------------------------------ the choice
    @property
    def model(self) -> InstalledModel | None:
        """The chosen model; the first one if that is not installed any more; None while none is."""
        return self.installed(self._wanted) or (self._models[0] if self._models else None)

    def installed(self, model_id: str) -> InstalledModel | None:
        return next((model for model in self._models if model.id == model_id), None)

    def name_of(self, model_id: str) -> str:
        model = self.installed(model_id)
        return name_among(self._models, model) if model is not None else model_id

    def use(self, model_id: str) -> None:
        """Point to the model of a conversation, without loading it."""
        if self.installed(model_id) is not None and model_id != self._wanted:
            self._wanted = model_id
            self._tell()

    def choose(self, model_id: str) -> None:
        """What a click in the menu does: remember the model and load it now."""
        self._wanted = model_id
        self.problem.emit("")
        self._tell()
        self._bridge.submit(_remember(self._services, model_id), self).start()
        model = self.installed(model_id)
        if model is not None and model.problem is not None:
            self.problem.emit(model.problem)
            return
        task = self._bridge.submit(self._services.models.load(model_id), self)
        task.failed.connect(lambda error: self._say_problem(model_id, error))
        task.start()

    # ------------------------------------------------------------------------------------------------------- private
    def _say_problem(self, model_id: str, error: BaseException) -> None:
        if model_id == self._wanted:
            self.problem.emit(sentence(error))

    def _show_models(self, models: tuple[InstalledModel, ...]) -> None:
        self._models = models
        self._fill()
        self._tell()

    def _show_state(self, state: LoadedModel) -> None:
        model = self.model
        if model is None or state.id != model.id:
            return
        loading = state.state is ModelState.LOADING
        self.bar.setVisible(loading)
        self.bar.setValue(round(100 * state.progress))
        self.changed.emit(state)

    def _tell(self) -> None:
        self._name()
        self.bar.hide()
        for action in self._menu.actions():
            action.setChecked(self.model is not None and action.data() == self.model.id)
        self.model_chosen.emit(self.model)

    def _name(self) -> None:
        name = name_among(self._models, self.model) if self.model is not None else self.tr("No model")
        self._button.setText(self.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, 320))
        self._button.setAccessibleName(self.tr("Model: {0}").format(name))

    def _fill(self) -> None:
        self._menu.clear()
        for model in self._models:
            if model.can(Capability.CHAT):
                self._menu.addAction(self._action(model))
        self._menu.addSeparator()
        more = self._menu.addAction(icon("download", role=IconRole.MUTED), self.tr("Get more models…"))
        more.triggered.connect(self.models_page_wanted)

    def _action(self, model: InstalledModel) -> QAction:
        # A menu puts what follows a tab at the right, where shortcuts stand.
        action = QAction("\t".join((name_among(self._models, model).replace("&", "&&"), self._remark(model))), self._menu)
        action.setData(model.id)
        action.setCheckable(True)
        action.setToolTip(plain_tooltip(model.problem or ""))
        action.triggered.connect(lambda: self.choose(model.id))
        return action

    def _remark(self, model: InstalledModel) -> str:
        if model.problem is not None:
            return self.tr("can't be used")
        words = [self.tr("sees pictures")] if model.can(Capability.VISION) else []
        return " · ".join([*words, size_text(model.size_bytes)])


async def _models(services: Services) -> tuple[InstalledModel, ...]:
    """As known now, from the thread that owns the library."""
    return services.library.models or await services.library.refresh()


async def _remember(services: Services, model_id: str) -> None:
    services.settings.update(last_model=model_id)
