from __future__ import annotations

import json
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from tests.cli.program import hearth, run_hearth


def ask(address: str, question: str, model: str = "ember") -> str:
    body = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": question}]}
    request = urllib.request.Request(f"{address}/chat/completions", data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as response:
        content: str = json.load(response)["choices"][0]["message"]["content"]
        return content


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_program_and_workers_within_five_seconds(kind: signal.Signals) -> None:
    with hearth("serve", "--port", "0", "--model", "ember") as program:
        workers = program.children()
        assert workers
        begun = time.monotonic()
        program.process.send_signal(kind)
        assert program.process.wait(timeout=10) == 0
        assert time.monotonic() - begun < 5
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_it_answers_and_tells_ps_where_it_is(profile: Path) -> None:
    with hearth("serve", "--port", "0", "--model", "ember") as program:
        assert "Ember" in ask(program.address, "Who are you?")
        assert run_hearth("alias", "gpt-4o-mini", "ember").returncode == 0
        listed = run_hearth("ps")
        assert listed.returncode == 0
        assert "ember" in listed.stdout
        assert "gpt-4o-mini" in listed.stdout
    program.process.wait()


def test_a_model_given_by_path_is_called_by_its_stem(tmp_path: Path, ember_path: Path) -> None:
    copy = tmp_path / "my-own.gguf"
    copy.write_bytes(ember_path.read_bytes())
    with hearth("serve", "--port", "0", "--model", str(copy)) as program:
        assert ask(program.address, "Hello", model="my-own")


def test_a_fallback_model_answers_to_every_name() -> None:
    with hearth("serve", "--port", "0", "--fallback-model", "ember") as program:
        assert "Ember" in ask(program.address, "Who are you?", model="gpt-4o")


def test_a_taken_port_is_named_and_another_offered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_hearth("serve", "--port", str(port))
    assert ended.returncode == 1
    assert str(port) in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "no-such-model"), "no-such-model"),
        (("--model", "missing.gguf"), "missing.gguf"),
        (("--fallback-model", "embr"), "did you mean ember"),
        (("--host", "0.0.0.0"), "api"),
        (("--gpu-layers", "many"), "neither 'auto' nor a number"),
        (("--parallel", "0"), "--parallel"),
        (("--pooling", "median"), "pooling"),
    ],
)
def test_a_wrong_option_says_what_to_change(arguments: tuple[str, ...], said: str) -> None:
    ended = run_hearth("serve", "--port", "0", *arguments)
    assert ended.returncode != 0
    assert said.lower() in ended.stderr.lower()
    assert "Traceback" not in ended.stderr


def test_everything_is_written_under_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEARTH_PROFILE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    with hearth("serve", "--port", "0", "--profile", str(tmp_path / "mine"), "--model", "ember") as program:
        program.process.send_signal(signal.SIGTERM)
        program.process.wait(timeout=10)
    assert (tmp_path / "mine").is_dir()
    assert not list((tmp_path / "home").rglob("*earth*"))
