"""Where things live: in a source checkout, an installed wheel, or a frozen program."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

__all__ = ["Paths", "resource"]

_NAME = "Hearth"


@dataclass(frozen=True, slots=True)
class Paths:
    """Every folder this program writes to."""

    config: Path
    data: Path
    cache: Path
    logs: Path

    @classmethod
    def of(cls, profile: Path | None = None) -> Paths:
        """The folders of `profile`, else of HEARTH_PROFILE, else the platform's own. Nothing is created yet."""
        profile = profile or (Path(value) if (value := os.environ.get("HEARTH_PROFILE")) else None)
        if profile is not None:
            root = profile.expanduser().resolve()
            return cls(root / "config", root / "data", root / "cache", root / "logs")
        dirs = platformdirs.PlatformDirs(_NAME, appauthor=False)
        return cls(dirs.user_config_path, dirs.user_data_path, dirs.user_cache_path, dirs.user_log_path)

    @property
    def settings_file(self) -> Path:
        return self.config / "settings.json"

    @property
    def api_keys(self) -> Path:
        """Digests of the server's keys."""
        return self.config / "api-keys"

    @property
    def hub_tokens(self) -> Path:
        """Access tokens of hubs, or where they are kept."""
        return self.config / "hub-tokens.json"

    @property
    def models(self) -> Path:
        """The default models folder."""
        return self.data / "models"

    @property
    def downloads(self) -> Path:
        """Notes about downloads that are not finished."""
        return self.data / "downloads"

    @property
    def model_files(self) -> Path:
        """Notes about the files of models for which something is set."""
        return self.data / "model-files.json"

    @property
    def prompts(self) -> Path:
        """What was computed for prompts of conversations."""
        return self.cache / "prompts"

    @property
    def outlines(self) -> Path:
        """What decides how much memory models take."""
        return self.cache / "outlines"

    @property
    def chats_file(self) -> Path:
        return self.data / "chats.sqlite3"

    @property
    def running_file(self) -> Path:
        """Written while the HTTP server of this profile runs: its address and process id, as JSON."""
        return self.data / "running.json"

    @property
    def log_file(self) -> Path:
        return self.logs / "hearth.log"


def resource(*parts: str) -> Path:
    """A file that ships with the program, such as `resource("ember", "ember.gguf")`."""
    frozen = getattr(sys, "_MEIPASS", None)
    if frozen is not None:
        return Path(frozen, "resources", *parts)
    package = Path(__file__).resolve().parent
    installed = package / "_resources"
    return Path(installed if installed.is_dir() else package.parent / "resources", *parts)
