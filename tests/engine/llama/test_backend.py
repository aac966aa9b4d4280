from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from app.engine.llama.backend import DeviceKind, LogTail, clean_reason, devices, physical_cores, prepare_process, start_backend


def test_a_process_is_made_safe_before_llama_cpp_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    environment = {"GGML_BACKEND_PATH": "/elsewhere/evil.so", "LLAMA_CPP_LIB_PATH": "/elsewhere", "HOME": "/home/me"}
    prepare_process(tmp_path, environment)
    assert Path.cwd() == tmp_path
    assert not {"GGML_BACKEND_PATH", "LLAMA_CPP_LIB_PATH"} & environment.keys()
    assert environment["HOME"] == "/home/me"
    assert environment["GGML_NO_BACKTRACE"] == "1"


def test_a_choice_about_threads_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"OMP_WAIT_POLICY": "active"}
    prepare_process(tmp_path, environment)
    assert environment["OMP_WAIT_POLICY"] == "active"


def test_starting_twice_gives_the_same_bindings() -> None:
    assert start_backend() is start_backend()


def test_the_processor_is_among_the_devices() -> None:
    found = devices()
    assert DeviceKind.CPU in {device.kind for device in found}
    assert all(device.name for device in found)


def test_cores_are_counted() -> None:
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


def test_the_log_keeps_its_last_lines_and_the_errors() -> None:
    tail = LogTail(n_lines=3).open()
    log = logging.getLogger("app.engine.llama.native")
    log.error("first failed")
    for i in range(5):
        log.info("line %d", i)
    tail.close()
    log.warning("too late")
    assert tail.tail == ("line 2", "line 3", "line 4")
    assert tail.errors == ("first failed",)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("llama_model_load: error loading model: unknown architecture: 'x'", "unknown architecture: 'x'"),
        ("gguf_init_from_file_impl: failed to read magic.", "failed to read magic"),
        ("plain words", "plain words"),
    ],
)
def test_reasons_are_freed_of_function_names(line: str, reason: str) -> None:
    assert clean_reason(line) == reason
