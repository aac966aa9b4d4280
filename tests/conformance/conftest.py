"""The whole program without a window, on a free port, with Ember in a worker process: what a person's other programs meet."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from app.bootstrap import Running, running
from app.options import Options
from tests.conformance.node import Node, installed
from tests.conformance.own_tests import Recorder
from tests.conformance.prompts import FRIENDS
from tests.conformance.suites.anthropic_python import CLAUDE_NAMES
from tests.conformance.suites.openai_python import CHAT_NAMES, EMBEDDER_NAME, WORDY_NAME
from tests.conformance.suites.outcomes import Suite, SuiteRun
from tests.engine.tiny_models import write_llama
from tests.minilm import minilm, minilm_path

__all__ = ["FRIENDS", "minilm", "minilm_path"]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(), Recorder.__name__)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    aliases = {**dict.fromkeys((*CHAT_NAMES, *CLAUDE_NAMES), "ember"), EMBEDDER_NAME: "all-minilm"}
    options = Options(profile=tmp_path_factory.mktemp("conformance"), overrides={"port": 0, "aliases": aliases})
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


@pytest.fixture(scope="session")
def node(request: pytest.FixtureRequest) -> Node:
    """The JavaScript clients."""
    cache = request.config.cache
    assert cache is not None
    return installed(cache)


@pytest.fixture(scope="session")
def recorder(pytestconfig: pytest.Config) -> Recorder:
    found = pytestconfig.pluginmanager.get_plugin(Recorder.__name__)
    assert isinstance(found, Recorder)
    return found


@pytest.fixture(scope="session")
def wordy(program: Running, ember_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a model of random weights that soon ends each text it writes, while Ember may go on for ever."""
    path = tmp_path_factory.mktemp("wordy") / f"{WORDY_NAME}.gguf"
    at_random = {"general.sampling.temp": 2.0, "general.sampling.top_p": 1.0, "general.sampling.min_p": 0.0}
    write_llama(path, ember_path, n_ctx_train=8192, floats=at_random)
    return program.loop.submit(program.services.library.open_path(path)).result().id


@pytest.fixture(scope="session")
def suite_run(address: str, embedder: str, wordy: str) -> Callable[[Suite], SuiteRun]:
    """Runs a suite, each once. The tests call the models by their names there, or by aliases."""
    runs: dict[str, SuiteRun] = {}

    def run(suite: Suite) -> SuiteRun:
        if suite.name not in runs:
            runs[suite.name] = suite.run(address)
        return runs[suite.name]

    return run
