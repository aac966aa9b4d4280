"""Real vocabularies for random models: from a GGUF file or folder that the caller has, else from llama-cpp-python's sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from tests.source_packages import LLAMA_MODELS, SourcesMissing, llama_sources

__all__ = ["Vocabulary", "VocabularySource"]

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
        try:
            folder = self.given or llama_sources(self.folder).folder(LLAMA_MODELS)
        except SourcesMissing as error:
            raise SystemExit(f"{error}. Give --vocab a GGUF file with a real vocabulary.") from error
        path = folder / f"ggml-vocab-{name}.gguf"
        if not path.exists():
            raise SystemExit(f"{folder} has no {path.name}. Give --vocab a GGUF file, or a folder with that file.")
        return path


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
