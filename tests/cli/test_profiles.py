from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.paths import Paths
from app.settings import SettingsStore
from tests.cli.program import environment, run_hearth
from tests.fake_hub import FakeHub
from tests.library.gguf_maker import write_model


def test_a_model_is_shown_with_its_settings_and_where_they_come_from(profile: Path) -> None:
    SettingsStore(Paths.of(profile).settings_file).update(n_ctx=1024)
    shown = json.loads(run_hearth("show", "Ember", "--json").stdout)
    assert (shown["id"], shown["source"], shown["problem"]) == ("ember", "built-in", None)
    assert len(shown["files"]) == 2
    assert shown["settings"]["n_ctx"] == {"value": 1024, "source": "general"}
    assert shown["settings"]["sampling.temperature"] == {"value": 0.0, "source": "file"}
    told = run_hearth("show", "ember").stdout
    assert "set for all models" in told
    assert "comes with the model" in told


def test_values_are_set_exported_and_taken_over(profile: Path, tmp_path: Path) -> None:
    done = run_hearth("set", "ember", "n_ctx=1024", "sampling.temperature=0.5", "note=my model", "gpu_layers=auto", "--export")
    assert done.returncode == 0, done.stderr
    exported = json.loads(done.stdout)
    assert exported["settings"] == {
        "n_ctx": 1024,
        "gpu_layers": "auto",
        "note": "my model",
        "sampling": {"temperature": 0.5},
    }
    file = tmp_path / "export.json"
    file.write_text(done.stdout)
    assert run_hearth("set", "ember", "n_ctx=", "note=").returncode == 0
    settings = SettingsStore(Paths.of(profile).settings_file)
    assert (settings.current.models["ember"].n_ctx, settings.current.models["ember"].note) == (None, "")
    assert run_hearth("set", "ember", "--from", str(file)).returncode == 0
    settings.reread()
    assert (settings.current.models["ember"].n_ctx, settings.current.models["ember"].note) == (1024, "my model")
    piped = subprocess.run(
        [sys.executable, "-m", "app", "set", "ember", "--from", "-"],
        input=done.stdout,
        text=True,
        env=environment(),
        check=False,
    )
    assert piped.returncode == 0


def test_values_are_written_as_people_write_them(profile: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{{ messages }}")
    values = {
        "note=2024": ("note", "2024"),
        "system_prompt=null": ("system_prompt", "null"),
        "devices=CUDA0,CUDA1": ("devices", ["CUDA0", "CUDA1"]),
        "tensor_split=3,1": ("tensor_split", [3.0, 1.0]),
        "draft_model=d.gguf": ("draft_model", str(tmp_path / "d.gguf")),
        "adapters=a.gguf": ("adapters", [{"path": str(tmp_path / "a.gguf")}]),
        "chat_template=mine.jinja": ("chat_template", str(tmp_path / "mine.jinja")),
        "gpu_layers=7": ("gpu_layers", 7),
        "use_mmap=off": ("use_mmap", False),
        "keep_alive_s=-1": ("keep_alive_s", -1.0),
    }
    done = run_hearth("set", "ember", *values, "sampling.mirostat=2", "sampling.samplers=top_k;temp", "--export", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    set_now = json.loads(done.stdout)["settings"]
    assert set_now.pop("sampling") == {"mirostat": 2, "samplers": ["top_k", "temperature"]}
    assert set_now == dict(values.values())
    done = run_hearth("set", "ember", "chat_template=chatml", 'adapters=[{"path": "/b.gguf", "scale": 0.5}]', "--export")
    set_now = json.loads(done.stdout)["settings"]
    assert (set_now["chat_template"], set_now["adapters"]) == ("chatml", [{"path": "/b.gguf", "scale": 0.5}])
    shown = run_hearth("show", "ember").stdout
    assert "/b.gguf (0.5)" in shown
    assert "top_k, temperature" in shown


def test_what_is_set_follows_a_renamed_file(profile: Path) -> None:
    file = write_model(Paths.of(profile).models / "Tiny-Q8_0.gguf")
    run_hearth("set", "Tiny-Q8_0", "n_ctx=512")
    file.rename(file.with_name("Small-Q8_0.gguf"))
    shown = json.loads(run_hearth("show", "Small", "--json").stdout)
    assert shown["settings"]["n_ctx"] == {"value": 512, "source": "model"}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("show", "embr"), 3, "ember"),
        (("set", "ember"), 1, "n_ctx=8192"),
        (("set", "ember", "n_ctx"), 1, "NAME=VALUE"),
        (("set", "ember", "heat=3"), 1, "sampling.temperature"),
        (("set", "ember", "n_ctx=-5"), 1, "n_ctx"),
        (("set", "ember", "--from", "nowhere.json"), 1, "nowhere.json"),
        (("import", "nowhere.gguf"), 1, "nowhere.gguf"),
        (("import", os.devnull), 1, "neither a file nor a folder"),
        (("import", "org/name", "--how", "copy"), 1, "Leave --how out"),
        (("set", "ember", "adapters=[3]"), 1, "adapters"),
    ],
)
def test_what_can_not_be_done_says_why(arguments: tuple[str, ...], status: int, said: str) -> None:
    ended = run_hearth(*arguments)
    assert ended.returncode == status
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_no_path_is_downloaded(profile: Path) -> None:
    with FakeHub() as hub:
        hub.add("org/repo", {"m-Q8_0.gguf": b"GGUF" + bytes(5000), "m-Q4_K_M.gguf": b"GGUF" + bytes(4000)})
        SettingsStore(Paths.of(profile).settings_file).update(hub_endpoint=hub.endpoint)
        done = run_hearth("import", "org/repo:q8_0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "done"
    assert (Paths.of(profile).models / "org" / "repo" / "m-Q8_0.gguf").stat().st_size == 5004


@pytest.mark.parametrize(("how", "source"), [("use", "added"), ("link", "library"), ("copy", "library")])
def test_a_file_is_imported(tmp_path: Path, how: str, source: str) -> None:
    file = write_model(tmp_path / "from" / "Tiny-Q8_0.gguf")
    done = run_hearth("import", str(file), "--how", how, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"models": ["Tiny-Q8_0"]}
    listed = {model["id"]: model for model in json.loads(run_hearth("list", "--json").stdout)}
    assert listed["Tiny-Q8_0"]["source"] == source


@pytest.mark.parametrize(("how", "tells"), [("use", False), ("link", True), ("copy", True)])
def test_what_is_left_out_of_a_folder_is_told(tmp_path: Path, how: str, tells: bool) -> None:
    write_model(tmp_path / "from" / "Whole-Q8_0.gguf")
    cut = write_model(tmp_path / "from" / "Cut-Q8_0.gguf", seed=1)
    cut.write_bytes(cut.read_bytes()[:-100])
    done = run_hearth("import", str(tmp_path / "from"), "--how", how, "--json")
    assert done.returncode == 0, done.stderr
    assert ("is left out: " in done.stderr) == tells
