from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.paths import Paths
from app.settings import SettingsStore
from tests.cli.program import interruptible, run_hearth
from tests.fake_hub import FakeHub

MODEL = b"GGUF" + os.urandom(4_000_000)


@pytest.fixture
def hub(profile: Path) -> Iterator[FakeHub]:
    with FakeHub() as made:
        made.add("org/repo", {"m-Q8_0.gguf": MODEL, "mmproj-F16.gguf": b"GGUF" + os.urandom(50_000)})
        SettingsStore(Paths.of(profile).settings_file).update(hub_endpoint=made.endpoint)
        yield made


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_step_is_a_line_of_json_and_the_last_says_where_it_is(hub: FakeHub, profile: Path) -> None:
    pulled = run_hearth("pull", "org/repo", "--json")

    assert pulled.returncode == 0, pulled.stderr
    last = lines(pulled.stdout)[-1]
    assert last["status"] == "done"
    assert last["completed_bytes"] == last["total_bytes"] == len(MODEL) + 50_004
    assert Path(str(last["path"])).read_bytes() == MODEL
    assert not list(Paths.of(profile).downloads.glob("*.json"))


def test_what_was_interrupted_goes_on_where_it_was(hub: FakeHub, profile: Path) -> None:
    hub.faults.pause_after = 3_000_000
    command = [sys.executable, "-m", "app", "pull", "org/repo", "--json"]
    with interruptible(*command) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        next(line for line in process.stdout if json.loads(line)["completed_bytes"] >= 3_000_000)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        said = process.stderr.read()
    hub.faults.pause_after = None
    hub.resume.set()
    left = json.loads(next(Paths.of(profile).downloads.glob("*.json")).read_text("utf-8"))

    again = run_hearth("pull", "org/repo", "--json")

    assert "`hearth pull org/repo` goes on" in said
    assert [entry["state"] for entry in left["downloads"]] == ["paused"]
    assert again.returncode == 0, again.stderr
    assert [request.headers.get("range") for request in hub.transfers] == [None, "bytes=3000000-", None]
    assert (Paths.of(profile).models / "org" / "repo" / "m-Q8_0.gguf").read_bytes() == MODEL


def test_a_file_elsewhere_is_pulled_by_its_address(hub: FakeHub, profile: Path) -> None:
    # Another name of the same machine: for this profile it is not the hub.
    url = f"http://localhost:{hub.port}/org/repo/resolve/main/m-Q8_0.gguf"

    pulled = run_hearth("pull", url)

    assert pulled.returncode == 0, pulled.stderr
    assert "m-Q8_0.gguf is installed" in pulled.stdout
    assert (Paths.of(profile).models / f"localhost_{hub.port}" / "org/repo/resolve/main/m-Q8_0.gguf").read_bytes() == MODEL


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("http://localhost:{port}/none.gguf",), 3, "no file at this address"),
        (("http://localhost:{port}/org/text/resolve/main/page.gguf",), 1, "no GGUF file"),
        (("org/gated",), 4, "gated"),
        (("org/repo", "--file", "x.gguf"), 1, "It has: m-Q8_0.gguf"),
    ],
)
def test_what_can_not_be_had_says_why_and_leaves_nothing(
    hub: FakeHub, profile: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    hub.add("org/text", {"page.gguf": b"<html>" + bytes(2000)})
    hub.add("org/gated", {"m.gguf": MODEL}, gated=True)

    ended = run_hearth("pull", *(argument.format(port=hub.port) for argument in arguments))

    assert ended.returncode == status
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(Paths.of(profile).downloads.glob("*.json"))
    assert not [path for path in Paths.of(profile).models.rglob("*") if path.is_file()]


def test_wrong_bytes_end_with_a_status_of_their_own(hub: FakeHub) -> None:
    hub.faults.corrupt = True

    ended = run_hearth("pull", "org/repo")

    assert ended.returncode == 7
    assert "damaged" in ended.stderr


def test_a_refused_download_ends_as_failed(hub: FakeHub) -> None:
    hub.faults.statuses = [404]

    refused = run_hearth("pull", "org/repo", "--json")

    assert refused.returncode == 3
    assert lines(refused.stdout)[-1]["status"] == "failed"
