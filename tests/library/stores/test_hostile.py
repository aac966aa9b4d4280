"""Notes of other programs that hold anything: a scan lists what is sound, whatever the rest is."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from app.domain.models import ModelSource
from app.library.headers import HeaderCache
from app.library.look import Look
from app.library.store_listing import models_of_others
from app.library.stores import NoteCache, Notes, StoreFolder, find_stores
from tests.library.gguf_maker import write_model
from tests.library.stores.stores import Ollama, hub_cache, listed, ollama_window, surroundings


def notes(tmp_path: Path) -> list[Path]:
    """Every store with a model, and the files that say so."""
    home = tmp_path / "home"
    made = write_model(tmp_path / "made.gguf")
    ollama = Ollama(home / ".ollama" / "models")
    older = ollama.add("registry.ollama.ai/library/older/latest", model=made)
    listed_one = ollama.manifest_list(llamacpp=ollama.manifest(model=made, system="Be brief."))
    newer = ollama.add_newer("ollama.com/library/newer/latest", listed_one, links=False)
    ollama_window(home / ".ollama" / "db.sqlite", tmp_path / "elsewhere")
    unit = tmp_path / "root" / "etc" / "systemd" / "system" / "ollama.service"
    unit.parent.mkdir(parents=True)
    unit.write_text('[Service]\nEnvironment="OLLAMA_MODELS=/srv/ollama"\nEnvironmentFile=/etc/ollama.conf\n')
    studio = home / ".lmstudio" / "settings.json"
    studio.parent.mkdir(parents=True, exist_ok=True)
    studio.write_text('{"downloadsFolder": "/models"}')
    pointer = home / ".lmstudio-home-pointer"
    pointer.write_text(str(studio.parent))
    cache = home / ".cache" / "huggingface" / "hub"
    for commit in ("old", "new"):
        hub_cache(cache, "org/Hub-GGUF", commit, {f"{commit}-Q8_0.gguf": made.read_bytes()}, links=False)
    jan = home / ".local" / "share" / "Jan"
    note = jan / "data" / "llamacpp" / "models" / "tiny" / "model.yml"
    note.parent.mkdir(parents=True)
    note.write_text(f"model_path: '{made}'\nmmproj_path: mmproj.gguf\nmodel_sha256: {'0' * 64}\n")
    (jan / "settings.json").write_text('{"data_folder": "/jan"}')
    gpt4all = home / ".config" / "nomic.ai" / "GPT4All.ini"
    gpt4all.parent.mkdir(parents=True)
    gpt4all.write_text("[General]\nmodelPath=/gpt4all/\n")
    reference = cache / "models--org--Hub-GGUF" / "refs" / "main"
    return [
        *(older, newer, unit, studio, pointer, note, jan / "settings.json", gpt4all, reference),
        home / ".ollama" / "db.sqlite",
        *(blob for blob in (ollama.folder / "blobs").iterdir() if blob.stat().st_size < 2000),
    ]


def mutated(content: bytes, dice: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(made) + 1)
        match dice.randrange(4):
            case 0:
                made[at : at + dice.randint(1, 20)] = b""
            case 1:
                made[at:at] = dice.randbytes(dice.randint(1, 6))
            case 2:
                made[at:at] = dice.choice(
                    (b"\0", b'"', b"{", b"[", b"\\ud800", b"../", b"null", b"-1", b"1e999", b"\\x0", b"~/", b"%")
                )
            case _:
                made[at : at + 1] = bytes((dice.randrange(256),))
    return bytes(made)


def test_mutated_notes_take_nothing_but_what_they_are_about(tmp_path: Path) -> None:
    sound = tmp_path / "home" / ".lmstudio" / "models" / "org" / "Sound-GGUF" / "Sound-Q8_0.gguf"
    write_model(sound, seed=9)
    files = notes(tmp_path)
    before = {file: file.read_bytes() for file in files}
    headers = HeaderCache(tmp_path / "headers.json")
    dice = random.Random(6)
    for _ in range(300):
        file = dice.choice(files)
        file.write_bytes(mutated(before[file], dice))
        look = Look(headers)
        stores = find_stores(surroundings(tmp_path), Notes(NoteCache(), look.stat), lambda _name: "")
        # Any folder may be named: those of whoever runs the tests are none of theirs.
        ours = [one for one in stores if not isinstance(one, StoreFolder) or tmp_path in one.folders[0].parents]
        found = [one.listed(one.stem, ()) for one in models_of_others(ours, look, lambda _trouble: None)]
        # Their home may be said to be elsewhere.
        assert file.name == ".lmstudio-home-pointer" or any(model.path == sound for model in found)
        json.dumps([(model.id, str(model.path), model.problem) for model in found]).encode()
        file.write_bytes(before[file])


@pytest.mark.parametrize("named", ["/" + "x" * 300, "x/" * 5000, "loop.gguf"], ids=["long name", "long path", "circle"])
def test_a_note_that_names_what_no_system_can_look_up(tmp_path: Path, named: str) -> None:
    """The models of the same program, and of others, are listed all the same."""
    data = tmp_path / "home" / ".local" / "share" / "Jan" / "data"
    sound = write_model(tmp_path / "sound.gguf")
    (tmp_path / "home" / ".ollama").mkdir(parents=True)
    data.mkdir(parents=True)
    (data / "loop.gguf").symlink_to("loop.gguf")
    for name, told in (("odd", named), ("sound", str(sound))):
        (data / "llamacpp" / "models" / name).mkdir(parents=True)
        (data / "llamacpp" / "models" / name / "model.yml").write_text(f"model_path: '{told}'\nmmproj_path: '{named}'\n")

    found = listed(surroundings(tmp_path), tmp_path)

    assert [model.id for model in found.models] == ["sound"]
    assert [trouble.source for trouble in found.troubles] == [ModelSource.JAN]


@pytest.mark.parametrize("path", ["/a\0b", "\ud800", "/\ud800/x", "relative", "", "~nobody/x"])
def test_what_is_no_path_is_no_choice(tmp_path: Path, path: str) -> None:
    assert surroundings(tmp_path).path(path) is None
