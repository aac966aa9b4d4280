"""Whether a model fits, in words and in a colour."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from app.domain.fit import Fit, FitVerdict
from app.gui.figures import context_text, memory_text
from app.gui.models.pill import Tone

__all__ = ["fit_short", "fit_text", "fit_tone", "verdict_text"]


def fit_tone(verdict: FitVerdict) -> Tone:
    match verdict:
        case FitVerdict.GPU | FitVerdict.MEMORY:
            return Tone.GOOD
        case FitVerdict.PARTLY:
            return Tone.FAIR
        case FitVerdict.TOO_LARGE:
            return Tone.BAD


def verdict_text(verdict: FitVerdict) -> str:
    """In two or three words."""
    match verdict:
        case FitVerdict.GPU:
            return _tr("Fits the GPU")
        case FitVerdict.PARTLY:
            return _tr("Partly on the GPU")
        case FitVerdict.MEMORY:
            return _tr("Fits in memory")
        case FitVerdict.TOO_LARGE:
            return _tr("Too large")


def fit_short(fit: Fit) -> str:
    """For a badge, with the one figure that matters."""
    match fit.verdict:
        case FitVerdict.PARTLY:
            return _tr("GPU: {0} of {1} layers").format(fit.plan.n_gpu_layers, fit.plan.n_layers)
        case FitVerdict.TOO_LARGE if fit.short_bytes:
            return _tr("Too large by {0}").format(memory_text(fit.short_bytes))
        case verdict:
            return verdict_text(verdict)


def fit_text(fit: Fit) -> str:
    """A sentence."""
    about = _sentence(fit)
    return _tr("{0} (estimated)").format(about) if fit.estimated else about


def _sentence(fit: Fit) -> str:
    context = context_text(fit.plan.n_ctx)
    match fit.verdict:
        case FitVerdict.GPU:
            return _tr("Runs on the GPU, with room for {0}").format(context)
        case FitVerdict.PARTLY:
            layers = _tr("{0} of {1} layers").format(fit.plan.n_gpu_layers, fit.plan.n_layers)
            return _tr("{0} run on the GPU, the others on the processor; with room for {1}").format(layers, context)
        case FitVerdict.MEMORY:
            return _tr("Runs on the processor, with room for {0}").format(context)
        case FitVerdict.TOO_LARGE:
            return _tr("Too large for what is free now, by {0}. You can try it all the same").format(
                memory_text(fit.short_bytes)
            )


def _tr(text: str) -> str:
    return QCoreApplication.translate("fit", text)
