"""The computer, as far as other programs choose their folders by it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Surroundings"]


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
        for name in names:
            if value := self.environ.get(name):
                return Path(value).expanduser()
        return None

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
    def cache(self) -> Path:
        """Where llama.cpp puts its cache; Hugging Face uses ~/.cache everywhere."""
        match self.platform:
            case "win32":
                return self.local_data
            case "darwin":
                return self.home / "Library" / "Caches"
            case _:
                return self.variable("XDG_CACHE_HOME") or self.home / ".cache"
