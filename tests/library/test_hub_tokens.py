from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.domain.errors import SettingsError
from app.domain.hub import HubToken, TokenSource
from app.library.hub_tokens import HubTokens
from tests.library.fake_keyring import FakeKeyring

HUB, MIRROR = "https://huggingface.co", "https://mirror.example"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "hub-tokens.json"


def test_a_token_is_kept_in_the_keyring_and_nowhere_else(file: Path) -> None:
    keyring = FakeKeyring()

    assert HubTokens(file, keyring).save(HUB, " hf_secret\n") is TokenSource.KEYRING

    assert keyring.entries == {HUB: "hf_secret"}
    assert "hf_secret" not in file.read_text()
    assert HubTokens(file, keyring).read(HUB) == HubToken("hf_secret", TokenSource.KEYRING)


def test_without_a_keyring_it_is_kept_in_a_file_of_the_owners(file: Path) -> None:
    tokens = HubTokens(file, FakeKeyring(locked=True))

    assert tokens.save(HUB, "hf_secret") is TokenSource.FILE

    assert tokens.read(HUB) == HubToken("hf_secret", TokenSource.FILE)
    if sys.platform != "win32":
        assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_each_hub_has_its_own(file: Path) -> None:
    tokens = HubTokens(file, FakeKeyring())
    tokens.save(HUB, "hf_secret")

    assert tokens.read(MIRROR) is None


def test_nobody_without_a_token_is_asked_to_unlock_the_keyring(file: Path) -> None:
    keyring = FakeKeyring()
    tokens = HubTokens(file, keyring)

    tokens.read(HUB)
    tokens.forget(HUB)

    assert keyring.asked == 0


def test_the_last_one_that_was_saved_holds(file: Path) -> None:
    keyring = FakeKeyring()
    tokens = HubTokens(file, keyring)
    tokens.save(HUB, "hf_old")
    keyring.locked = True
    tokens.save(HUB, "hf_new")
    keyring.locked = False

    assert tokens.read(HUB) == HubToken("hf_new", TokenSource.FILE)
    tokens.save(HUB, "hf_newest")
    assert "hf_new" not in file.read_text()


def test_a_locked_keyring_means_no_token_for_now(file: Path) -> None:
    keyring = FakeKeyring()
    tokens = HubTokens(file, keyring)
    tokens.save(HUB, "hf_secret")
    keyring.locked = True

    assert tokens.read(HUB) is None
    keyring.locked = False
    assert tokens.read(HUB) is not None


def test_a_forgotten_token_is_gone_from_the_keyring_and_the_file(file: Path) -> None:
    keyring = FakeKeyring()
    tokens = HubTokens(file, keyring)
    tokens.save(HUB, "hf_secret")
    keyring.locked = True
    tokens.save(HUB, "hf_second")
    keyring.locked = False

    tokens.forget(HUB)

    assert tokens.read(HUB) is None
    assert keyring.entries == {}


def test_a_token_that_can_not_be_deleted_is_told(file: Path) -> None:
    keyring = FakeKeyring()
    tokens = HubTokens(file, keyring)
    tokens.save(HUB, "hf_secret")
    keyring.locked = True

    with pytest.raises(SettingsError, match="keyring"):
        tokens.forget(HUB)
    keyring.locked = False
    assert tokens.read(HUB) is not None


@pytest.mark.parametrize("text", ["", "  ", "hf_a hf_b", "hf_\u00e4", "hf_a\nx", "hf_\x00"])
def test_what_can_not_be_a_token_is_refused(file: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="no access token"):
        HubTokens(file, FakeKeyring()).save(HUB, text)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"https://huggingface.co": "hf_x"}', '{"https://huggingface.co": {}}'])
def test_a_damaged_file_holds_no_tokens(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content)
    tokens = HubTokens(file, FakeKeyring())

    assert tokens.read(HUB) is None
    tokens.save(HUB, "hf_secret")
    assert tokens.read(HUB) is not None
