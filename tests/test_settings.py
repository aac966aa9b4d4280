from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.domain.errors import SettingsError
from app.settings import AdapterSettings, Settings, SettingsStore


def test_a_missing_file_gives_the_defaults(tmp_path: Path) -> None:
    assert SettingsStore(tmp_path / "settings.json").current == Settings()


def test_a_change_survives_the_program(tmp_path: Path) -> None:
    file = tmp_path / "new" / "settings.json"
    SettingsStore(file).update(port=9000, models_folders=(tmp_path,))
    again = SettingsStore(file).current
    assert again.port == 9000
    assert again.models_folders == (tmp_path,)


def test_a_wrong_value_names_the_field_and_changes_nothing(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "settings.json")
    with pytest.raises(SettingsError, match="port"):
        store.update(port=70000, theme="dark")
    assert store.current == Settings()
    assert not (tmp_path / "settings.json").exists()


@pytest.mark.parametrize("folder", ["~nobody-at-all/models", "/a\0b"])
def test_a_folder_that_can_be_none_is_refused_with_the_settings_name(tmp_path: Path, folder: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"models_folder": folder}))
    with pytest.raises(SettingsError, match="models_folder"):
        SettingsStore(file)


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text("{")
    with pytest.raises(SettingsError, match=r"settings\.json is not valid JSON"):
        SettingsStore(file)
    assert file.read_text() == "{"


def test_overrides_win_but_are_never_saved(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    store = SettingsStore(file, overrides={"port": 0, "host": "::1"})
    assert store.current.port == 0
    store.update(theme="dark")
    assert store.current.port == 0
    assert "theme" in json.loads(file.read_text())
    assert SettingsStore(file).current.port == Settings().port


def test_changing_an_overridden_field_ends_the_override(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    store = SettingsStore(file, overrides={"port": 0})
    store.update(port=9001)
    assert store.current.port == 9001
    assert SettingsStore(file).current.port == 9001


def test_fields_of_a_newer_version_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"invented_later": 3}')
    SettingsStore(file).update(port=9000)
    assert json.loads(file.read_text())["invented_later"] == 3


def test_listeners_hear_of_real_changes_only(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "settings.json")
    heard: list[Settings] = []
    store.changed.subscribe(heard.append)
    store.update(theme="system")
    store.update(theme="dark")
    assert [settings.theme for settings in heard] == ["dark"]


def test_a_models_own_settings_survive_the_program(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    own = {"n_ctx": 4096, "adapters": [{"path": "/models/lora.gguf", "scale": 0.5}], "pinned": True}
    SettingsStore(file).update(models={"org/model": own})
    again = SettingsStore(file).current.models["org/model"]
    assert (again.n_ctx, again.pinned, again.n_threads) == (4096, True, None)
    assert again.adapters == (AdapterSettings(path=Path("/models/lora.gguf"), scale=0.5),)


def test_a_wrong_value_of_one_model_names_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"models\.ember\.cache_type_k"):
        SettingsStore(tmp_path / "settings.json").update(models={"ember": {"cache_type_k": "q9"}})


def test_what_another_program_wrote_is_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    store, other = SettingsStore(file, overrides={"port": 0}), SettingsStore(file)
    heard: list[Settings] = []
    store.changed.subscribe(heard.append)
    other.update(aliases={"gpt-4o-mini": "ember"}, port=9000)
    assert store.current.aliases == {}
    store.reread()
    store.reread()
    assert [settings.aliases for settings in heard] == [{"gpt-4o-mini": "ember"}]
    assert store.current.port == 0


def test_a_change_never_undoes_what_another_program_wrote(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    store, other = SettingsStore(file), SettingsStore(file)
    other.update(aliases={"gpt-4o-mini": "ember"})
    store.update(theme="dark")
    again = SettingsStore(file).current
    assert (again.aliases, again.theme) == ({"gpt-4o-mini": "ember"}, "dark")


def test_a_file_that_became_wrong_or_is_gone_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "settings.json"
    store = SettingsStore(file)
    store.update(port=9000)
    file.write_text('{"port": "high"}')
    store.reread()
    assert store.current.port == 9000
    assert "port" in caplog.text
    file.unlink()
    store.reread()
    assert store.current.port == 9000


@pytest.mark.parametrize("aliases", [{"": "ember"}, {" x": "ember"}, {"x\n": "ember"}, {"x": ""}, {"x" * 600: "ember"}])
def test_a_name_that_no_program_could_send_is_no_alias(tmp_path: Path, aliases: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="aliases"):
        SettingsStore(tmp_path / "settings.json").update(aliases=aliases)


def test_who_is_allowed_is_checked_and_written_alike(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "settings.json")
    changed = store.update(allowed_origins=("https://Chat.Example.org:443/",), allowed_hosts=("Workbench.lan:80",))
    assert (changed.allowed_origins, changed.allowed_hosts) == (("https://chat.example.org",), ("workbench.lan",))
    with pytest.raises(SettingsError, match=r"^allowed_origins\.0: '\*' is no origin\..*\.org\.$"):
        store.update(allowed_origins=("*",))
    with pytest.raises(SettingsError, match=r"allowed_hosts\.1"):
        store.update(allowed_hosts=("a", "http://b"))
    assert SettingsStore(tmp_path / "settings.json").current == changed
