"""The whole program without a window, on a free port, with Ember in a worker process: what a person's other programs meet."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from app.bootstrap import Running, running
from app.options import Options
from tests.minilm import minilm, minilm_path

__all__ = ["FRIENDS", "minilm", "minilm_path"]

FRIENDS = (
    "I have two friends. The first is Ollama 22 years old busy saving the world, and the second is Alonso 23 years old and "
    "wants to hang out. Return a list of friends in JSON format"
)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    options = Options(profile=tmp_path_factory.mktemp("conformance"), overrides={"port": 0})
    with running(options) as program:
        program.loop.submit(program.services.server.start()).result()
        yield program


@pytest.fixture(scope="session")
def address(program: Running) -> str:
    address = program.services.server.state.address
    assert address is not None
    return address


@pytest.fixture(scope="session")
def red_circle() -> str:
    """A picture as a `data:` URL."""
    image = Image.new("RGB", (200, 200), (255, 255, 255))
    ImageDraw.Draw(image).ellipse((40, 40, 160, 160), fill=(255, 0, 0))
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


@pytest.fixture(scope="session")
def embedder(program: Running, minilm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of an embedding model, under the name that everyone's examples use."""
    path = Path(shutil.copy(minilm_path, tmp_path_factory.mktemp("models") / "all-minilm.gguf"))
    return program.loop.submit(program.services.library.open_path(path)).result().id
