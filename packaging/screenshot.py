"""Take the README's picture: `uv run python packaging/screenshot.py FOLDER` runs the window and keeps what is seen.

`--models` takes those of getting models alone. They come from a hub on loopback with models of a few megabytes.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QWidget

from app.bootstrap import running
from app.gui.application import Shell, make_application
from app.gui.desktop import Desktop
from app.gui.models.hub_lookup import Named
from app.gui.sidebar import Page
from app.options import Options
from app.paths import resource
from tests.fake_hub import FakeHub, HubFacts

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


NAMES = (
    ("acme/Lantern-VL-2B-GGUF", ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16"), "apache-2.0", 2_100_000_000),
    ("acme/Lantern-8B-GGUF", ("Q4_K_M", "Q8_0"), "apache-2.0", 8_000_000_000),
    ("northwind/Harbour-70B-GGUF", ("Q4_K_M",), "llama3.3", 70_600_000_000),
    ("northwind/Breeze-Embed-GGUF", ("Q8_0", "F16"), "mit", 330_000_000),
    ("contoso/Coder-14B-GGUF", ("Q4_K_M", "Q6_K"), "mit", 14_800_000_000),
)
CARD = """---
license: apache-2.0
---
# Lantern VL 2B

<p align="center"><img src="https://example.org/lantern.png"></p>

A **small model that sees**, for documents, charts and photographs. It reads pictures up to 1024 × 1024.

| Benchmark | 2B | 8B |
|---|---|---|
| DocVQA | 91.2 | 94.0 |
| ChartQA | 78.4 | 83.1 |

## Use

```bash
hearth pull acme/Lantern-VL-2B-GGUF
```

- Released under the [Apache licence](LICENSE).
- Not made for medical or legal advice.
"""
PADDING = 3_000_000


def fill(hub: FakeHub) -> None:
    """Models that are Ember, more or less of it."""
    ember = resource("ember", "ember.gguf").read_bytes()
    projector = resource("ember", "mmproj-ember.gguf").read_bytes()
    for place, (name, quantizations, license, parameters) in enumerate(NAMES):
        stem = name.rpartition("/")[2].removesuffix("-GGUF")
        sizes = enumerate(quantizations)
        files = {f"{stem}-{quantization}.gguf": ember + bytes(PADDING * (number + place)) for number, quantization in sizes}
        files["README.md"] = CARD.encode()
        tags = ("conversational",)
        if "VL" in name:
            files[f"mmproj-{stem}-F16.gguf"] = projector
            tags = ("conversational", "image-text-to-text")
        facts = HubFacts(
            license=license,
            downloads=1_234_567 // (place + 1),
            likes=890 // (place + 1),
            trending=100 - place,
            tags=tags,
            gguf={"total": parameters, "context_length": 131072, "architecture": "llama"},
        )
        hub.add(name, files, gated=place == 2, facts=facts)


def take_models(folder: Path, theme: str) -> None:
    """Getting models: empty, searching, what is found, a repository and its card, three downloads, an error, one too large."""

    def keep(window: QWidget, name: str) -> None:
        window.grab().save(str(folder / f"models-{name}-{theme}.png"))

    with FakeHub() as hub:
        fill(hub)
        hub.faults.pause_api = True
        limits = {"download_limit_mb_s": 1.5, "simultaneous_downloads": 3}
        with window(theme, hub_endpoint=hub.endpoint, other_stores=False, **limits) as shell:
            get = shell.window.models.get
            pause(2.0)
            keep(shell.window, "searching")
            hub.faults.pause_api = False
            hub.resume.set()
            pause_until(lambda: get.search.hits.rowCount() > len(NAMES) + 2)
            keep(shell.window, "found")
            get.open_repository(Named("acme/Lantern-VL-2B-GGUF"))
            pause_until(lambda: is_rated(shell))
            keep(shell.window, "repository")
            get.repository.card_button.click()
            pause(1.0)
            keep(shell.window, "card")
            for name in ("acme/Lantern-VL-2B-GGUF", "acme/Lantern-8B-GGUF", "contoso/Coder-14B-GGUF"):
                get.open_repository(Named(name))
                pause(1.5)
                get.repository.download_button.click()
            get.repository.left.emit()
            pause(3.0)
            keep(shell.window, "downloading")
            get.open_repository(Named("northwind/Harbour-70B-GGUF"))
            pause_until(lambda: is_rated(shell))
            keep(shell.window, "gated")
            hub.faults.api_status = 503
            get.repository.left.emit()
            get.search.field.setText("harbour")
            get.search.search()
            pause(2.0)
            keep(shell.window, "error")
        hub.faults.api_status = None
        with window(theme, hub_endpoint=hub.endpoint, other_stores=False, memory_limit_gib=0.012) as shell:
            shell.window.models.get.open_repository(Named("acme/Lantern-8B-GGUF"))
            pause_until(lambda: is_rated(shell))
            keep(shell.window, "too-large")


@contextmanager
def window(theme: str, **settings: Any) -> Iterator[Shell]:
    """The whole program on a profile of its own, with the page that gets models before it."""
    with tempfile.TemporaryDirectory() as profile:
        options = Options(profile=Path(profile), overrides={"theme": theme, "server_enabled": False, **settings})
        with running(options) as program:
            make_application()
            shell = Shell(program.services, program.loop, desktop=Desktop())
            shell.start(hidden=False)
            shell.window.resize(1100, 760)
            shell.window.show_page(Page.MODELS)
            shell.window.models.tabs.setCurrentWidget(shell.window.models.get)
            yield shell
            shell.close()


def is_rated(shell: Shell) -> bool:
    """Whether the repository's page says of each file that it fits or doesn't."""
    files = shell.window.models.get.repository.files
    return files.rowCount() > 0 and all(files.fit(files.file(row)) for row in range(files.rowCount()))


def pause_until(condition: Callable[[], bool]) -> None:
    """Let Qt draw until something is there, and a moment longer; half a minute at most."""
    for _ in range(60):
        pause(0.5)
        if condition():
            break
    pause(0.5)


def pause(seconds: float) -> None:
    """Let Qt draw."""
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


if __name__ == "__main__":
    *flags, target_name = sys.argv[1:]
    target = Path(target_name)
    target.mkdir(parents=True, exist_ok=True)
    takes: tuple[Callable[[Path, str], None], ...] = (take_models,) if flags == ["--models"] else (main, take_models)
    for name in ("light", "dark"):
        for take in takes:
            take(target, name)
