"""Take the README's picture: `uv run python packaging/screenshot.py FOLDER` runs the window and keeps what is seen."""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEventLoop, QTimer

from app.bootstrap import running
from app.gui.application import Shell, make_application
from app.gui.desktop import Desktop
from app.gui.sidebar import Page
from app.options import Options
from app.paths import resource

QUESTIONS = (("red-circle.png", "What is in this picture?"), (None, "What colour is the background?"))


def main(folder: Path, theme: str) -> None:
    """One picture per page, in one theme."""
    with tempfile.TemporaryDirectory() as profile:
        options = Options(profile=Path(profile), overrides={"theme": theme})
        with running(options) as program:
            make_application()
            shell = Shell(program.services, program.loop, desktop=Desktop())
            shell.start(hidden=False)
            shell.window.resize(1100, 760)
            pause(2.0)
            shell.window.grab().save(str(folder / f"welcome-{theme}.png"))
            chat = shell.window.chat
            for picture, question in QUESTIONS:
                if picture:
                    chat.composer.attach_image(resource("examples", picture).read_bytes())
                chat.composer.set_text(question)
                loop = QEventLoop()
                chat.answer_finished.connect(loop.quit)
                chat.answer_failed.connect(loop.quit)
                chat.composer.send()
                loop.exec()
            pause(1.0)
            shell.window.grab().save(str(folder / f"chat-{theme}.png"))
            shell.window.conversations.field.setText("circle")
            pause(1.0)
            shell.window.grab().save(str(folder / f"search-{theme}.png"))
            shell.window.conversations.field.clear()
            for page in (Page.MODELS, Page.SERVER, Page.SETTINGS):
                shell.window.show_page(page)
                pause(1.0)
                shell.window.grab().save(str(folder / f"{page.name.lower()}-{theme}.png"))
            shell.close()


def pause(seconds: float) -> None:
    """Let Qt draw."""
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name in ("light", "dark"):
        main(target, name)
