"""What is said of models, above all of those that were never loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.errors import ModelNotFound
from app.domain.models import Capability
from app.library.library import ModelLibrary
from app.paths import Paths
from app.service.descriptions import ModelDescription, ModelDescriptions
from app.service.models import ModelManager
from app.settings import SettingsStore
from tests.fakes import FakeLauncher, model_info
from tests.formats import templates
from tests.library.gguf_maker import write_model, write_projector

pytestmark = pytest.mark.anyio

ONLY_MENTIONS = templates.PLAIN + "{# tools are for others; think of it #}"
BROKEN = "{% if messages %}"


class Bench:
    """Models of a profile of its own, described without loading any."""

    def __init__(self, *, patience_s: float = 60.0) -> None:
        self.paths = Paths.of()
        self.settings = SettingsStore(self.paths.settings_file)
        self.library = ModelLibrary(self.paths, self.settings)
        self.launcher = FakeLauncher()
        self.models = ModelManager(self.library, self.launcher, self.settings)
        self.descriptions = ModelDescriptions(self.library, self.models, patience_s=patience_s)

    def add(self, name: str, template: str | None, **options: object) -> Path:
        return write_model(self.paths.models / "org" / name / f"{name}.gguf", name=name, template=template, **options)

    async def all(self) -> dict[str, ModelDescription]:
        return {described.model.id: described for described in await self.descriptions.all()}


async def test_what_a_model_can_do_is_read_off_its_template_and_not_guessed_from_words_in_it() -> None:
    bench = Bench()
    bench.add("caller", templates.CHATML_TOOLS)
    bench.add("thinker", templates.THINKS_BY_DEFAULT)
    bench.add("talker", ONLY_MENTIONS)
    bench.add("base", None)
    bench.add("embedder", None, architecture="bert")
    write_projector(bench.paths.models / "org" / "talker" / "mmproj-talker.gguf")

    found = {name: described.capabilities for name, described in (await bench.all()).items()}

    text = {Capability.CHAT, Capability.COMPLETION}
    assert found == {
        "ember": text | {Capability.TOOLS, Capability.REASONING, Capability.VISION},
        "caller": text | {Capability.TOOLS},
        "thinker": text | {Capability.REASONING},
        "talker": text | {Capability.VISION},
        "base": {Capability.COMPLETION},
        "embedder": {Capability.EMBEDDING},
    }
    assert bench.launcher.configs == []


async def test_a_list_that_has_no_time_left_says_what_the_headers_say() -> None:
    bench = Bench(patience_s=0.0)
    bench.add("talker", ONLY_MENTIONS)
    assert Capability.REASONING in (await bench.all())["talker"].capabilities
    assert Capability.REASONING not in (await bench.descriptions.find("talker")).capabilities
    # What was found out meanwhile is known from then on.
    assert Capability.REASONING not in (await bench.all())["talker"].capabilities


async def test_a_file_that_was_replaced_is_read_again() -> None:
    bench = Bench()
    path = bench.add("model", ONLY_MENTIONS)
    assert Capability.TOOLS not in (await bench.all())["model"].capabilities
    path.unlink()
    bench.add("model", templates.CHATML_TOOLS)
    assert Capability.TOOLS in (await bench.all())["model"].capabilities


async def test_a_chosen_template_counts_instead_of_the_models_own(tmp_path: Path) -> None:
    bench = Bench()
    bench.add("talker", ONLY_MENTIONS)
    file = tmp_path / "own.jinja"
    file.write_text(templates.CHATML_TOOLS)
    bench.settings.update(models={"talker": {"chat_template": str(file)}})
    assert Capability.TOOLS in (await bench.all())["talker"].capabilities
    bench.settings.update(models={"talker": {"chat_template": str(tmp_path / "missing.jinja")}})
    assert (await bench.all())["talker"].capabilities >= {Capability.CHAT}


async def test_of_a_model_in_memory_the_template_that_it_talks_by_counts() -> None:
    bench = Bench()
    bench.launcher.info = model_info(chat_template=templates.CHATML_TOOLS)
    bench.add("talker", ONLY_MENTIONS)
    await bench.library.refresh()
    await bench.models.load("talker")
    described = (await bench.all())["talker"]
    assert Capability.TOOLS in described.capabilities
    assert described.loaded.n_ctx == 4096
    await bench.models.close()


async def test_a_broken_template_is_told_before_the_model_is_loaded() -> None:
    bench = Bench()
    bench.add("broken", BROKEN)
    warning = (await bench.all())["broken"].warning
    assert warning is not None
    assert "template is broken" in warning


async def test_a_model_is_described_by_any_name_it_answers_to_and_tells_them() -> None:
    bench = Bench()
    bench.settings.update(aliases={"gpt-4o-mini": "ember"}, fallback_model="ember")
    for name in ("gpt-4o-mini", "EMBER:latest", "anything"):
        described = await bench.descriptions.find(name)
        assert (described.model.id, described.aliases) == ("ember", ("gpt-4o-mini",))
    bench.settings.update(fallback_model="")
    with pytest.raises(ModelNotFound):
        await bench.descriptions.find("anything")
