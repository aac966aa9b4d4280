"""What a person can set, and the file it is kept in."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.errors import SettingsError
from app.domain.observable import Observable

__all__ = ["DEFAULT_PORT", "Settings", "SettingsStore"]

DEFAULT_PORT = 8642


class Settings(BaseModel):
    """Frozen: change it with `SettingsStore.update`. Fields a newer version wrote are kept in the file and ignored."""

    model_config = ConfigDict(frozen=True, extra="allow")

    # Server
    server_enabled: bool = True
    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    api_key: str = ""
    # Engine
    n_parallel: int = Field(default=4, ge=1, le=64)
    n_ctx: int = Field(default=0, ge=0)
    n_threads: int = Field(default=0, ge=0, le=512)
    gpu_layers: Literal["auto"] | int = "auto"
    max_loaded_models: int = Field(default=2, ge=1)
    # Finished prompts kept in the host's memory per model, and prompts of conversations kept on the disk; 0 keeps none.
    prompt_cache_memory_mb: int = Field(default=1024, ge=0)
    prompt_cache_disk_mb: int = Field(default=4096, ge=0)
    # Tokens guessed ahead at once; 0 guesses none. With a small model of the same family they are its guesses.
    n_draft: int = Field(default=8, ge=0, le=8)
    draft_model: Path | None = None
    # Models
    models_folders: tuple[Path, ...] = ()
    added_files: tuple[Path, ...] = ()
    hub_endpoint: str = "https://huggingface.co"
    # Window
    theme: Literal["system", "light", "dark"] = "system"
    last_model: str = "ember"
    system_prompt: str = ""
    told_about_tray: bool = False


class SettingsStore:
    """Reads and writes one settings file. Owned by the service loop; listeners are called there.

    `overrides` hold for this run only (the command line): they win over the file and are never written to it.
    """

    def __init__(self, file: Path, *, overrides: Mapping[str, Any] | None = None) -> None:
        """Raises SettingsError, naming the field, if the file or an override is wrong; a missing file gives the defaults."""
        self._file = file
        self._overrides = dict(overrides or {})
        self._stored = _read(file)
        self._current = _validated({**self._stored.model_dump(), **self._overrides})
        self.changed: Observable[Settings] = Observable()

    @property
    def current(self) -> Settings:
        return self._current

    def update(self, **changes: Any) -> Settings:
        """Check, save and announce changed fields. Raises SettingsError and changes nothing if one is wrong."""
        stored = _validated({**self._stored.model_dump(), **changes})
        overrides = {name: value for name, value in self._overrides.items() if name not in changes}
        current = _validated({**stored.model_dump(), **overrides})
        if stored != self._stored:
            _write(self._file, stored)
        self._stored, self._overrides = stored, overrides
        if current != self._current:
            self._current = current
            self.changed.notify(current)
        return current


def _validated(values: dict[str, Any]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from error


def _read(file: Path) -> Settings:
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}.") from error
    try:
        return Settings.model_validate(json.loads(text))
    except ValidationError as error:
        raise SettingsError(f"{file}: {_sentence(error)}") from error
    except ValueError as error:
        raise SettingsError(f"{file} is not valid JSON: {error}. Mend or delete it.") from error


def _write(file: Path, settings: Settings) -> None:
    """Replace the file in one step, so that a crash leaves the old or the new one."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".new")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(settings.model_dump_json(indent=2))
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SettingsError(f"{file} can't be written: {error.strerror}.") from error


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}."
