"""Getting models that are on this computer, or that somebody has the name or the address of, after asking how."""

from __future__ import annotations

from collections import deque

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.gui.bridge import Bridge
from app.gui.desktop import Desktop
from app.gui.figures import size_text
from app.gui.models.work_bar import WorkBar
from app.service.imports import ImportDownload, ImportFiles, ImportPlan, ImportWay
from app.service.services import Services

__all__ = ["Importer"]

_MOST_PROBLEMS = 5


class Importer(QObject):
    """Asks on `page`, and shows on `work` how far it is.

    `began` comes before the first of several; `imported` carries a model's id, `download_asked` an `ImportDownload`,
    and `failed` the error.
    """

    began = Signal()
    imported = Signal(str)
    download_asked = Signal(object)
    failed = Signal(object)

    def __init__(self, services: Services, bridge: Bridge, page: QWidget, *, desktop: Desktop, work: WorkBar) -> None:
        super().__init__(page)
        self._services = services
        self._bridge = bridge
        self._page = page
        self._desktop = desktop
        self._work = work
        self._wanted: deque[str] = deque()
        self._bringing = False

    def bring_in(self, *texts: str) -> None:
        """Get the models that paths, folders, names or addresses lead to, after asking how: one after the other."""
        self._wanted += texts
        if not self._bringing:
            self.began.emit()
            self._bring_next()

    def _bring_next(self) -> None:
        self._bringing = bool(self._wanted)
        if not self._wanted:
            return
        task = self._bridge.submit(self._services.imports.plan(self._wanted.popleft()), self)
        task.succeeded.connect(self._ask_how)
        task.failed.connect(self._fail)
        task.start()

    def _fail(self, error: Exception) -> None:
        self.failed.emit(error)
        self._bring_next()

    def _ask_how(self, plan: ImportPlan) -> None:
        match plan:
            case ImportDownload(repository, file, projector):
                size = file.size_bytes + (projector.size_bytes if projector else 0)
                details = self.tr("{0}, {1}").format(file.label, size_text(size))
                actions: tuple[str, ...] = (self.tr("Download"),)
                if self._choice(self.tr("Download {0}?").format(repository.id), details, actions) is not None:
                    self.download_asked.emit(plan)
                self._bring_next()
            case ImportFiles(known=known, models=models) if len(known) == len(models) and known:
                self.imported.emit(known[0].id)
                self._bring_next()
            case ImportFiles():
                self._ask_where(plan)

    def _ask_where(self, plan: ImportFiles) -> None:
        if len(plan.models) == 1:
            title = self.tr("Use {0}?").format(plan.models[0].name)
        else:
            title = self.tr("Use the {0} models in this folder?").format(len(plan.models))
        details = self.tr("{0}, {1}. A link takes no space; a copy is Hearth's own.").format(
            plan.path, size_text(plan.size_bytes)
        )
        if plan.broken:
            problems = "\n".join(f"{model.name}: {model.problem}" for model in plan.broken[:_MOST_PROBLEMS])
            more = "\n…" if len(plan.broken) > _MOST_PROBLEMS else ""
            details = f"{details}\n\n{self.tr('Not linked or copied:')}\n{problems}{more}"
        ways = (ImportWay.USE, ImportWay.LINK, ImportWay.COPY)
        actions = (self.tr("Use it where it is"), self.tr("Link it"), self.tr("Copy it"))
        picked = self._choice(title, details, actions)
        if picked is not None:
            self._import(plan, ways[picked])
        else:
            self._bring_next()

    def _choice(self, text: str, details: str, actions: tuple[str, ...]) -> int | None:
        return self._desktop.choose(self._page, title=self.tr("Add a model"), text=text, details=details, actions=actions)

    def _import(self, plan: ImportFiles, way: ImportWay) -> None:
        task = self._bridge.follow(lambda tell: self._services.imports.run(plan, way, on_bytes=tell), self)
        task.progressed.connect(lambda done: self._work.show_progress(done, plan.size_bytes))
        task.succeeded.connect(lambda done: self.imported.emit(done.models[0].id) if done.models else None)
        task.failed.connect(self.failed)
        for ended in (task.succeeded, task.failed, task.cancelled):
            ended.connect(lambda *_: self._bring_next())
        self._work.run(task, self.tr("Copying") if way is ImportWay.COPY else self.tr("Adding"))
