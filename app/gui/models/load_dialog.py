"""Loading a model with a context of one's own choice, seeing beforehand what that takes."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QSlider, QSpinBox, QVBoxLayout, QWidget

from app.domain.fit import Fit, FitVerdict
from app.domain.models import InstalledModel
from app.gui.bridge import Bridge
from app.gui.controls import Banner, ElidedLabel, button, label
from app.gui.errors import sentence
from app.gui.figures import context_text
from app.gui.models.fit_words import fit_text
from app.gui.models.memory_bar import MemoryBars
from app.gui.settings.fields import SwitchField
from app.gui.theme import Theme
from app.service.services import Services

__all__ = ["LoadDialog", "context_steps"]

_LEAST_CTX: Final = 512
# Where a model's file does not say how much it was trained for.
_USUAL_LONGEST: Final = 131_072
_USUAL_CTX: Final = 8192


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What is set: the context for this model, 0 automatic; what would hold otherwise; and how long it can be, 0 unknown."""

    n_ctx: int
    otherwise: int
    longest: int


class LoadDialog(QDialog):
    """Made once per page and shown with `ask`. The context that is chosen is kept for the model, and then `load_asked` says to
    load it: its id, and whether to try though it does not fit. `settings_asked` wants its other settings shown.
    """

    load_asked = Signal(str, bool)
    settings_asked = Signal(str)

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._model_id = ""
        self._chosen = _Chosen(0, 0, 0)
        self._steps: tuple[int, ...] = (_LEAST_CTX,)
        self._known = False
        # One question is on its way at a time; when it is answered, the next is asked if the choice is another by then.
        self._asked: tuple[str, int] | None = None
        self._answered: tuple[str, int] | None = None
        self._fit: Fit | None = None
        self._room = 0
        self.setMinimumWidth(480)
        self.resize(560, 380)
        self._make_context()
        self._make_foot()
        self._lay_out()
        bridge.watch(services.fit.changed, lambda _: self._ask_again())

    def _make_context(self) -> None:
        self._name = ElidedLabel(role="heading")
        self.automatic = SwitchField(
            self.tr("As much context as there is room for"),
            self.tr("Up to what the model was made for, as long as it stays fast."),
        )
        self.automatic.changed.connect(self._choose)
        self.spin = QSpinBox()
        self.spin.setAccessibleName(self.tr("Context size, in tokens"))
        self.spin.setGroupSeparatorShown(True)
        self.spin.setKeyboardTracking(False)
        self.spin.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.spin.lineEdit().setTextMargins(0, 0, Theme.GAP, 0)
        self.spin.setFixedWidth(120)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(self.tr("Context size"))
        self.spin.valueChanged.connect(self._spun)
        self.slider.valueChanged.connect(self._slid)
        self._hint = label(role="caption", wrap=True)

    def _make_foot(self) -> None:
        self.banner = Banner()
        self._verdict = label(role="strong", wrap=True)
        self.advice = Banner(problem=False)
        self.advice.acted.connect(self._take_room)
        self.settings_button = button(self.tr("All settings…"), name=self.tr("All settings of this model"))
        self.cancel_button = button(self.tr("Cancel"))
        self.load_button = button(self.tr("Load"), "play", kind="primary", name=self.tr("Load this model into memory"))
        self.settings_button.clicked.connect(self._open_settings)
        self.cancel_button.clicked.connect(self.reject)
        self.load_button.clicked.connect(self._load)
        for made in (self.settings_button, self.cancel_button):
            made.setAutoDefault(False)
        self.load_button.setDefault(True)

    def _lay_out(self) -> None:
        context = QGridLayout()
        context.setVerticalSpacing(Theme.TIGHT)
        title = label(self.tr("Context size, in tokens"))
        title.setBuddy(self.spin)
        context.addWidget(title, 0, 0)
        context.addWidget(self.spin, 0, 1)
        context.addWidget(self.slider, 1, 0, 1, 2)
        context.addWidget(self._hint, 2, 0, 1, 2)
        self.bars = MemoryBars()
        foot = QHBoxLayout()
        foot.addWidget(self.settings_button)
        foot.addStretch()
        foot.addWidget(self.cancel_button)
        foot.addWidget(self.load_button)
        self._column = column = QVBoxLayout(self)
        column.setContentsMargins(Theme.WIDE, Theme.ROOM, Theme.WIDE, Theme.ROOM)
        column.setSpacing(Theme.PAD)
        column.addWidget(self._name)
        column.addWidget(self.banner)
        column.addWidget(self.automatic)
        column.addLayout(context)
        column.addWidget(self._verdict)
        column.addWidget(self.bars)
        column.addWidget(self.advice)
        column.addStretch()
        column.addLayout(foot)

    def ask(self, model: InstalledModel) -> None:
        """Offer to load a model."""
        self._model_id = model.id
        self._known, self._answered, self._fit, self._room = False, None, None, 0
        self.setWindowTitle(self.tr("Load {0}").format(model.name))
        self._name.set_full_text(model.name)
        self.banner.tell("")
        self._show_fit(None)
        self.open()
        self.load_button.setFocus()
        task = self._bridge.submit(self._look(model.id), self)
        task.succeeded.connect(lambda chosen: self._show_chosen(model, chosen))
        task.failed.connect(self._fail)
        task.start()

    async def _look(self, model_id: str) -> _Chosen:
        """On the service loop."""
        profiles = self._services.profiles
        n_ctx = next(value for value in await profiles.effective(model_id) if value.name == "n_ctx")
        return _Chosen(n_ctx.value, n_ctx.otherwise, profiles.longest_context(model_id))

    def _show_chosen(self, model: InstalledModel, chosen: _Chosen) -> None:
        if model.id != self._model_id:
            return
        self._chosen, self._known = chosen, True
        longest = chosen.longest or max(_USUAL_LONGEST, chosen.n_ctx)
        self._steps = context_steps(longest)
        made_for = self.tr("It was made for up to {0}.").format(context_text(longest)) if chosen.longest else ""
        more = self.tr("Requests answered together share it. More takes more memory. It is kept for this model.")
        self._hint.setText(f"{made_for} {more}".strip())
        with QSignalBlocker(self.spin), QSignalBlocker(self.slider):
            self.spin.setRange(min(_LEAST_CTX, longest), longest)
            self.spin.setSingleStep(1024)
            self.slider.setRange(0, len(self._steps) - 1)
            self.slider.setPageStep(4)
        self._set_context(chosen.n_ctx or min(longest, _USUAL_CTX))
        self.automatic.set_value(not chosen.n_ctx)
        self._choose()

    # The choice

    @property
    def n_ctx(self) -> int:
        """What is chosen; 0 is automatic."""
        return 0 if self.automatic.switch.isChecked() else self.spin.value()

    @property
    def verdict(self) -> str:
        return self._verdict.text()

    def _set_context(self, n_ctx: int) -> None:
        with QSignalBlocker(self.spin), QSignalBlocker(self.slider):
            self.spin.setValue(n_ctx)
            self.slider.setValue(min(bisect_left(self._steps, n_ctx), len(self._steps) - 1))

    def _slid(self, step: int) -> None:
        with QSignalBlocker(self.spin):
            self.spin.setValue(self._steps[step])
        self._choose()

    def _spun(self, n_ctx: int) -> None:
        self._set_context(n_ctx)
        self._choose()

    def _choose(self) -> None:
        by_hand = not self.automatic.switch.isChecked()
        self.spin.setEnabled(by_hand)
        self.slider.setEnabled(by_hand)
        self._ask_fit()

    def _take_room(self) -> None:
        self._set_context(self._room)
        self.automatic.set_value(False)
        self._choose()

    # What it takes

    def _ask_again(self) -> None:
        """What is free has changed."""
        self._answered = None
        self._ask_fit()

    def _ask_fit(self) -> None:
        wanted = (self._model_id, self.n_ctx)
        if not self.isVisible() or not self._known or self._asked is not None or self._answered == wanted:
            return
        self._asked = wanted
        task = self._bridge.submit(self._fits(*wanted), self)
        task.succeeded.connect(self._take_fits)
        task.failed.connect(self._fail_fit)
        task.cancelled.connect(lambda: self._end_asking())
        task.start()

    async def _fits(self, model_id: str, n_ctx: int) -> tuple[Fit, int]:
        """What the choice takes; and if that is too much, how much context there is room for, 0 if for none. On the loop."""
        fit = await self._services.fit.installed(model_id, n_ctx=n_ctx)
        if fit.verdict is not FitVerdict.TOO_LARGE or not n_ctx:
            return fit, 0
        automatic = await self._services.fit.installed(model_id, n_ctx=0)
        return fit, 0 if automatic.verdict is FitVerdict.TOO_LARGE else automatic.plan.n_ctx

    def _take_fits(self, found: tuple[Fit, int]) -> None:
        self._answered = self._asked
        if self._answered is not None and self._answered[0] == self._model_id:
            self._fit, self._room = found
            self.banner.tell("")
            self._show_fit(self._fit)
        self._end_asking()

    def _fail_fit(self, error: Exception) -> None:
        """It can be tried all the same."""
        self._answered = self._asked
        if self._answered is not None and self._answered[0] == self._model_id:
            self._fit = None
            self._show_fit(None)
            self._fail(error)
        self._end_asking()

    def _end_asking(self) -> None:
        self._asked = None
        self._ask_fit()

    def _show_fit(self, fit: Fit | None) -> None:
        self.bars.show_fit(fit)
        too_large = fit is not None and fit.verdict is FitVerdict.TOO_LARGE
        self._verdict.setText(self._words(fit) if fit is not None else self.tr("Looking at what it takes…"))
        self._verdict.setProperty("role", "error" if too_large else "strong")
        self._verdict.style().polish(self._verdict)
        self.load_button.setText(self.tr("Try anyway") if too_large else self.tr("Load"))
        self.load_button.setAccessibleName(
            self.tr("Load this model though it does not fit") if too_large else self.tr("Load this model into memory")
        )
        if fit is not None and self.automatic.switch.isChecked():
            self._set_context(fit.plan.n_ctx)
        self._advise(fit)
        self._grow()

    def _words(self, fit: Fit) -> str:
        words = f"{fit_text(fit)}."
        longest = self._chosen.longest
        if longest and fit.plan.n_ctx > longest and fit.verdict is not FitVerdict.TOO_LARGE:
            # Automatic counts what all requests share, the field what one of them can use.
            words = self.tr("{0} Requests answered together share that; each can use up to {1}.").format(
                words, context_text(longest)
            )
        return words

    def _grow(self) -> None:
        """Have room for what is shown; shrinking again would only be restless."""
        self._column.activate()
        needed = self._column.totalHeightForWidth(self.width())
        if needed > self.height():
            self.resize(self.width(), needed)

    def _advise(self, fit: Fit | None) -> None:
        if fit is not None and fit.verdict is FitVerdict.TOO_LARGE and self._room:
            room = context_text(self._room)
            self.advice.tell(self.tr("There is room for {0} of context.").format(room), self.tr("Use {0}").format(room))
        else:
            self.advice.tell("")

    def _fail(self, error: Exception) -> None:
        self._verdict.setText("")
        self.banner.tell(sentence(error))

    # What a person does

    def _open_settings(self) -> None:
        self.reject()
        self.settings_asked.emit(self._model_id)

    def _load(self) -> None:
        self.spin.interpretText()
        if not self._known or self.n_ctx == self._chosen.n_ctx:
            self._accept_load()
            return
        model_id, n_ctx = self._model_id, self.n_ctx
        kept = None if n_ctx == self._chosen.otherwise else n_ctx
        task = self._bridge.call(lambda: self._services.profiles.update(model_id, {"n_ctx": kept}), self)
        task.succeeded.connect(lambda _: self._accept_load())
        task.failed.connect(self._fail)
        task.start()

    def _accept_load(self) -> None:
        anyway = self._fit is not None and self._fit.verdict is FitVerdict.TOO_LARGE
        self.accept()
        self.load_asked.emit(self._model_id, anyway)


def context_steps(longest: int) -> tuple[int, ...]:
    """Where a slider stops: four stops in each doubling, and the longest."""
    steps = []
    octave = _LEAST_CTX
    while octave < longest:
        steps += [octave + octave * quarter // 4 for quarter in range(4)]
        octave *= 2
    return (*(step for step in steps if step < longest), longest)
