"""The computer, as far as other programs choose their folders by it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Surroundings", "can_be_path"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`platform` is `sys.platform`; `shared` are folders of system services, looked at besides a person's own."""

    home: Path
    environ: Mapping[str, str]
    platform: str
    shared: Path = Path("/")

    @classmethod
    def here(cls) -> Surroundings:
        return cls(Path.home(), os.environ, sys.platform)

    def variable(self, *names: str) -> Path | None:
        """The folder that the first of these environment variables names that is set."""
        return next((path for name in names if (path := self.path(self.environ.get(name, "")))), None)

    def path(self, written: object) -> Path | None:
        """A path as settings have it: perhaps in quotes or from the home folder on; None for what is no full path."""
        text = written.strip().strip("\"'") if isinstance(written, str) and can_be_path(written) else ""
        path = self.home / text[1:].lstrip("/\\") if text == "~" or text.startswith(("~/", "~\\")) else Path(text)
        return path if path.is_absolute() else None

    def flatpak(self, app: str) -> Surroundings:
        """What a program sees that was installed as this Flatpak."""
        own = self.home / ".var" / "app" / app
        folders = {"XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache"}
        return Surroundings(
            self.home, {name: str(own / folder) for name, folder in folders.items()}, self.platform, self.shared
        )

    @property
    def local_data(self) -> Path:
        """Where programs keep large things that stay on this machine."""
        match self.platform:
            case "win32":
                return self.variable("LOCALAPPDATA") or self.home / "AppData" / "Local"
            case "darwin":
                return self.home / "Library" / "Application Support"
            case _:
                return self.variable("XDG_DATA_HOME") or self.home / ".local" / "share"

    @property
    def roaming_data(self) -> Path:
        return (self.variable("APPDATA") or self.home / "AppData" / "Roaming") if self.platform == "win32" else self.local_data

    @property
    def config(self) -> Path:
        """Where programs keep settings that are not to be found among their data."""
        if self.platform == "win32":
            return self.roaming_data
        return self.variable("XDG_CONFIG_HOME") or self.home / ".config"

    @property
    def cache(self) -> Path:
        """Where llama.cpp puts its cache; Hugging Face uses ~/.cache everywhere."""
        match self.platform:
            case "win32":
                return self.local_data
            case "darwin":
                return self.home / "Library" / "Caches"
            case _:
                return self.variable("XDG_CACHE_HOME") or self.home / ".cache"


def can_be_path(text: str) -> bool:
    """Whether the system can be asked for it: a note may hold any characters."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
