from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.engine.saved import SavedSequence
from app.engine.state_files import StateFiles, fingerprint_of, forget_states

IDS = np.arange(100, dtype=np.int32)


def _state(owner: str | None = "chat", *, n_bytes: int = 5000) -> SavedSequence:
    data = np.random.default_rng(1).integers(0, 256, n_bytes, np.uint8)
    return SavedSequence(IDS, data, first_position=7, owner=owner)


def _files(folder: Path, *, fingerprint: str = "model", budget_bytes: int = 100_000) -> StateFiles:
    return StateFiles(folder, fingerprint, budget_bytes=budget_bytes)


def _write(folder: Path, *states: SavedSequence, fingerprint: str = "model", budget_bytes: int = 100_000) -> None:
    files = _files(folder, fingerprint=fingerprint, budget_bytes=budget_bytes)
    for state in states:
        files.write(state)
    files.close()


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    _write(tmp_path / "prompts", _state())
    back = _files(tmp_path / "prompts").read("chat", np.append(IDS, 5).astype(np.int32))
    assert back is not None
    assert np.array_equal(back.ids, IDS)
    assert np.array_equal(back.data, _state().data)
    assert (back.first_position, back.owner) == (7, "chat")
    assert not list(tmp_path.glob("prompts/*.new"))


def test_what_belongs_to_nobody_is_not_written(tmp_path: Path) -> None:
    _write(tmp_path / "prompts", _state(owner=None))
    assert not (tmp_path / "prompts").exists()


def test_a_prompt_that_has_little_in_common_is_not_read_and_the_file_stays(tmp_path: Path) -> None:
    _write(tmp_path, _state())
    other = IDS.copy()
    other[10] = 9999
    assert _files(tmp_path).read("chat", other) is None
    assert _files(tmp_path).read("chat", IDS) is not None


def _damage(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        lambda data: b"X" + data[1:],
        lambda data: data[:8] + b"\xff\xff\xff\xff" + data[12:],
        lambda data: data[:12],
        lambda data: b"",
        lambda data: data.replace(b'"n_tokens": 100', b'"n_tokens": "x"'),
        lambda data: data.replace(b'"version": 1', b'"version": 9'),
        lambda data: data.replace(b'"owner"', b'"OWNER"'),
        lambda data: data[:12] + b"[" + data[13:],
    ],
    ids=["short", "long", "flipped", "magic", "length", "headless", "empty", "type", "version", "field", "json"],
)
def test_a_damaged_file_is_not_used_and_goes(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    _write(tmp_path, _state())
    (file,) = tmp_path.iterdir()
    _damage(file, change)
    assert _files(tmp_path).read("chat", IDS) is None
    assert not file.exists()


def test_another_model_or_setting_has_files_of_its_own(tmp_path: Path) -> None:
    _write(tmp_path, _state(), fingerprint="one")
    assert _files(tmp_path, fingerprint="two").read("chat", IDS) is None
    _write(tmp_path, _state(), fingerprint="two")
    assert len(list(tmp_path.iterdir())) == 2
    # Renamed by hand: the header still tells.
    one, two = sorted(tmp_path.iterdir())
    os.replace(one, two)
    results = [_files(tmp_path, fingerprint=name).read("chat", IDS) for name in ("one", "two")]
    assert sum(result is not None for result in results) <= 1


def test_nothing_is_read_that_memory_holds_anyway(tmp_path: Path) -> None:
    _write(tmp_path, _state())
    files = _files(tmp_path)
    files.hold("chat")
    assert files.read("chat", IDS) is None
    files.write(_state())
    files.close()
    assert files.read("chat", IDS) is not None


def test_the_least_recently_used_files_make_room(tmp_path: Path) -> None:
    _write(tmp_path, *(_state(f"chat {i}") for i in range(3)), budget_bytes=20_000)
    for i, file in enumerate(sorted(tmp_path.iterdir(), key=lambda file: json.loads(_header(file))["owner"])):
        os.utime(file, (1000 + i, 1000 + i))
    _write(tmp_path, _state("chat 3"), budget_bytes=18_000)
    assert sorted(json.loads(_header(file))["owner"] for file in tmp_path.iterdir()) == ["chat 1", "chat 2", "chat 3"]


def _header(file: Path) -> bytes:
    data = file.read_bytes()
    return data[12 : 12 + int.from_bytes(data[8:12], "little")]


def test_one_that_is_too_large_for_the_budget_is_not_kept(tmp_path: Path) -> None:
    _write(tmp_path / "prompts", _state(n_bytes=50_000), budget_bytes=20_000)
    assert not (tmp_path / "prompts").exists()


def test_a_deleted_conversation_leaves_no_file_of_any_model(tmp_path: Path) -> None:
    for fingerprint in ("one", "two"):
        _write(tmp_path, _state(), _state("other"), fingerprint=fingerprint)
    forget_states(tmp_path, "chat")
    assert {json.loads(_header(file))["owner"] for file in tmp_path.iterdir()} == {"other"}
    forget_states(tmp_path / "missing", "chat")


def test_what_is_forgotten_is_not_written_by_a_writer_that_comes_late(tmp_path: Path) -> None:
    files = _files(tmp_path / "prompts")
    files.forget("chat")
    files.write(_state())
    files.close()
    assert not (tmp_path / "prompts").exists()
    files.hold("chat")
    files.write(_state())
    files.close()
    assert len(list((tmp_path / "prompts").iterdir())) == 1


def test_a_folder_that_can_not_be_written_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    _write(tmp_path / "file", _state())
    assert "can't be kept" in caplog.text


def test_a_fingerprint_tells_files_and_settings_apart(tmp_path: Path) -> None:
    model = tmp_path / "a.gguf"
    model.write_bytes(bytes(300_000))
    first = fingerprint_of((model,), version="1")
    assert first == fingerprint_of((model,), version="1")
    assert first != fingerprint_of((model,), version="2")
    data = bytearray(model.read_bytes())
    data[150_000] = 1
    model.write_bytes(data)
    assert first != fingerprint_of((model,), version="1")


def test_a_file_that_can_not_be_deleted_costs_nothing_but_its_space(tmp_path: Path) -> None:
    _write(tmp_path, _state())
    files = _files(tmp_path)
    (file,) = tmp_path.iterdir()
    file.unlink()
    # No program can unlink a folder like a file.
    file.mkdir()
    files.forget("chat")
    forget_states(tmp_path, "chat")
    assert files.read("chat", IDS) is None
