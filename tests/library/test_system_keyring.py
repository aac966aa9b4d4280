"""Through the real keyring package, with backends of our own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import keyring
import keyring.backend
import keyring.errors
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from app.library.system_keyring import KeyringUnavailable, SystemKeyring


class _Memory(keyring.backend.KeyringBackend):
    priority = 1.0  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.answers = threading.Event()
        self.answers.set()

    def get_password(self, service: str, username: str) -> str | None:
        self.answers.wait()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.entries:
            raise keyring.errors.PasswordDeleteError("not found")
        del self.entries[service, username]


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


@pytest.fixture
def memory() -> Iterator[_Memory]:
    backend = _Memory()
    keyring.set_keyring(backend)
    yield backend
    backend.answers.set()


def test_entries_are_kept_by_service_and_name(memory: _Memory) -> None:
    ours = SystemKeyring("Hearth /profile")

    ours.set("https://huggingface.co", "hf_secret")

    assert memory.entries == {("Hearth /profile", "https://huggingface.co"): "hf_secret"}
    assert ours.get("https://huggingface.co") == "hf_secret"
    assert SystemKeyring("Hearth /other").get("https://huggingface.co") is None
    ours.delete("https://huggingface.co")
    assert ours.get("https://huggingface.co") is None


def test_a_machine_without_a_keyring_says_so() -> None:
    keyring.set_keyring(NoKeyring())

    with pytest.raises(KeyringUnavailable):
        SystemKeyring("Hearth").get("https://huggingface.co")


def test_whatever_a_backend_raises_is_one_kind_of_error(memory: _Memory) -> None:
    with pytest.raises(KeyringUnavailable, match="not found"):
        SystemKeyring("Hearth").delete("https://huggingface.co")


def test_one_that_hangs_is_waited_for_once_and_used_again_when_it_answers(memory: _Memory) -> None:
    ours = SystemKeyring("Hearth", read_s=0.05)
    memory.answers.clear()

    with pytest.raises(KeyringUnavailable, match="does not answer"):
        ours.get("https://huggingface.co")
    with pytest.raises(KeyringUnavailable, match="not answered yet"):
        ours.set("https://huggingface.co", "hf_secret")
    memory.answers.set()
    hanging = [thread for thread in threading.enumerate() if thread.name == "keyring"]
    for thread in hanging:
        thread.join()

    ours.set("https://huggingface.co", "hf_secret")
    assert ours.get("https://huggingface.co") == "hf_secret"
