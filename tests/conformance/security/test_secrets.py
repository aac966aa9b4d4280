"""S21: what is secret, or said in confidence, is written down nowhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from tests.cli.program import hearth, run_hearth
from tests.conformance.security.conftest import Port

PROMPT = "a prompt about zebrafinches"
TOKEN = "hf_sesameopenuptotheworld"
WRONG_KEY = "hearth-tried-and-found-wanting"
SETTINGS_KEY = "the-key-of-the-environment"


def test_s21_neither_keys_nor_tokens_nor_prompts_are_in_any_file_or_on_the_terminal(tmp_path: Path) -> None:
    key = run_hearth("keys", "create", "laptop", "--profile", str(tmp_path)).stdout.strip()
    arguments = ("--verbose", "serve", "--port", "0", "--profile", str(tmp_path), "--require-api-key")
    with hearth(*arguments, HF_TOKEN=TOKEN, HEARTH_API_KEY=SETTINGS_KEY) as running:
        port = Port(urlsplit(running.address).port or 0)
        for given, status in ((key, 200), (SETTINGS_KEY, 200), (WRONG_KEY, 401)):
            headers = {"Authorization": f"Bearer {given}"}
            assert port.chat(headers=headers, messages=[{"role": "user", "content": PROMPT}]).status == status
        headers = {"x-api-key": key}
        assert port.ask("POST", "/v1/completions", {"model": "ember", "prompt": PROMPT}, headers=headers).status == 200
        assert port.chat(headers=headers, messages=[{"role": PROMPT}]).status == 400
        assert port.chat(headers=headers, model=PROMPT, messages=[{"role": "user", "content": PROMPT}]).status == 404
        port.say(f"POST /v1/{SETTINGS_KEY} HTTP/1.1\r\nHost: localhost\r\n{WRONG_KEY} : x\r\n\r\n{PROMPT}".encode())
        _assert_untold(running.process.pid, key)
        running.process.terminate()
        said = "".join(running.process.communicate(timeout=60))
    written = "".join(file.read_bytes().decode("latin-1") for file in tmp_path.rglob("*") if file.is_file())
    assert "401" in said
    for secret in (key, key.removeprefix("hearth-"), WRONG_KEY, SETTINGS_KEY, TOKEN, PROMPT):
        assert secret not in said
        assert secret not in written


def _assert_untold(pid: int, key: str) -> None:
    """Nor in the command lines of the program and its workers, which every user of the computer can read."""
    processes = [Path("/proc", str(pid))]
    if not processes[0].exists():
        return
    workers = [child for task in processes[0].joinpath("task").iterdir() for child in (task / "children").read_text().split()]
    for process in (*processes, *(Path("/proc", worker) for worker in workers)):
        assert not any(secret in (process / "cmdline").read_text() for secret in (key, SETTINGS_KEY, TOKEN))
