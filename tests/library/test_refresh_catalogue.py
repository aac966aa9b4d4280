"""The script that looks the catalogue up on the hub, and what the program then knows."""

from __future__ import annotations

import hashlib
import json
import runpy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from app.library.catalogue import Catalogue
from app.paths import resource
from tests.fake_hub import FakeHub, HubFacts

SCRIPT = Path(__file__).parents[2] / "packaging/refresh_catalogue.py"

Refresh: TypeAlias = Callable[..., tuple[int, str]]

TEXT = b"t" * 4000
EYES = {"eyes-Q4_K_M.gguf": b"e" * 5000, "mmproj-eyes-F16.gguf": b"p" * 2000}
SPLIT = {f"split-Q4_K_M-0000{number}-of-00002.gguf": bytes([number]) * 3000 for number in (1, 2)}
FAMILIES = [
    {
        "name": "small",
        "about": "A small one",
        "can": ["chat"],
        "models": [
            {"tag": "1b", "repository": "org/small-GGUF", "original": "acme/small"},
            {"tag": "2b", "repository": "org/split-GGUF", "original": "acme/split"},
        ],
    },
    {
        "name": "eyes",
        "about": "One that sees",
        "can": ["chat", "vision"],
        "models": [{"tag": "4b", "repository": "org/eyes-GGUF", "original": "acme/eyes"}],
    },
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    usual = {"quantization": "Q4_K_M", "parameters": "1B", "size_gb": 3.0}
    families = [{**family, "models": [{**usual, **model} for model in family["models"]]} for family in FAMILIES]  # type: ignore[attr-defined]
    made = tmp_path / "catalogue.json"
    made.write_text(json.dumps({"families": families}))
    return made


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as made:
        made.add("org/small-GGUF", {"small-Q4_K_M.gguf": TEXT, "small-Q8_0.gguf": TEXT * 2}, facts=HubFacts(license="mit"))
        made.add("org/split-GGUF", SPLIT)
        made.add("org/eyes-GGUF", EYES, gated=True)
        yield made


@pytest.fixture
def refresh(hub: FakeHub, file: Path, capsys: pytest.CaptureFixture[str]) -> Refresh:
    def run(*arguments: str) -> tuple[int, str]:
        status = main("--endpoint", hub.endpoint, "--file", str(file), *arguments)
        return status, capsys.readouterr().out

    return run


def main(*arguments: str) -> int:
    return int(runpy.run_path(str(SCRIPT))["main"](arguments))


def entry(file: Path, name: str) -> Any:
    families = {family["name"]: family for family in json.loads(file.read_text())["families"]}
    family, _, tag = name.partition(":")
    return next(model for model in families[family]["models"] if model["tag"] == tag)


def test_what_the_hub_holds_is_filled_in_with_the_day(refresh: Refresh, hub: FakeHub, file: Path) -> None:
    assert refresh() == (0, "")

    models = {model.name: model for model in Catalogue.read(file).models}
    small = models["small:1b"]
    assert small.verified is not None
    assert [(part.name, part.size_bytes, part.sha256) for part in small.verified.files] == [
        ("small-Q4_K_M.gguf", 4000, hashlib.sha256(TEXT).hexdigest())
    ]
    assert (small.license, small.size_bytes, small.verified.projector) == ("mit", 4000, None)
    assert (small.verified.hub, small.verified.gated, len(small.verified.commit)) == (hub.endpoint, False, 40)
    assert abs((datetime.now(UTC).date() - small.verified.on).days) <= 1
    eyes = models["eyes:4b"].verified
    assert eyes is not None
    assert eyes.gated
    assert eyes.projector is not None
    assert (eyes.projector.name, eyes.projector.size_bytes) == ("mmproj-eyes-F16.gguf", 2000)
    assert models["small:2b"].size_bytes == 6000


def test_a_second_look_changes_nothing(refresh: Refresh, hub: FakeHub, file: Path) -> None:
    refresh()
    once = file.read_text()

    assert refresh("--check")[0] == 0
    assert refresh() == (0, "")
    assert file.read_text() == once


def test_a_check_finds_what_has_changed_and_writes_nothing(refresh: Refresh, hub: FakeHub, file: Path) -> None:
    refresh()
    once = file.read_text()
    hub.add("org/small-GGUF", {"small-Q4_K_M.gguf": TEXT + b"!"})

    status, said = refresh("--check")

    assert (status, said) == (1, "The catalogue is out of date.\n")
    assert file.read_text() == once


def test_an_entry_that_is_not_as_it_says_is_told_and_no_longer_verified(refresh: Refresh, hub: FakeHub, file: Path) -> None:
    refresh()
    hub.add("org/small-GGUF", {"small-Q8_0.gguf": TEXT})
    hub.add("org/eyes-GGUF", {"eyes-Q4_K_M.gguf": TEXT})
    hub.add("org/split-GGUF", {**SPLIT, "other-Q4_K_M.gguf": TEXT, "another-Q4_K_M.gguf": TEXT})

    status, said = refresh()

    assert status == 1
    assert "small:1b: org/small-GGUF has 0 files of Q4_K_M; it has Q8_0.\n" in said
    assert "eyes:4b: org/eyes-GGUF has no projector" in said
    assert "verified" not in entry(file, "small:1b")
    # Of several, the one that is called like the model.
    assert entry(file, "small:2b")["verified"]["files"][0]["name"] == "split-Q4_K_M-00001-of-00002.gguf"


def test_a_hub_that_is_down_says_nothing_about_the_entries(refresh: Refresh, hub: FakeHub, file: Path) -> None:
    refresh()
    once = json.loads(file.read_text())
    hub.faults.api_status = 503

    status, said = refresh()

    assert status == 1
    assert said.count("not looked up") == 3
    assert json.loads(file.read_text()) == once


def test_single_entries_can_be_looked_up(refresh: Refresh, hub: FakeHub, file: Path) -> None:
    assert refresh("eyes:4b") == (0, "")

    assert "verified" in entry(file, "eyes:4b")
    assert "verified" not in entry(file, "small:1b")


def test_the_shipped_catalogue_is_written_as_it_stands(tmp_path: Path) -> None:
    shipped = resource("catalogue.json").read_text("utf-8")
    copy = tmp_path / "copy.json"
    copy.write_text(shipped, "utf-8")
    with FakeHub() as nothing_there:
        assert main("--endpoint", nothing_there.endpoint, "--file", str(copy), "llama3.2:3b") == 1

    assert copy.read_text("utf-8") == shipped
