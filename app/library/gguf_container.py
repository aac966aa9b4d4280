"""The GGUF container: metadata and the list of tensors, read without trusting the file.

A file may come from anywhere, so every count, length and total has a limit far above any real model's. Long arrays (a
vocabulary has up to 260,000 tokens and twice as many merges) are skipped, not kept: memory stays at about the window below,
whatever the file claims, and the time is bounded by `_MAX_ELEMENTS` and `_MAX_HEADER_BYTES`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, TypeVar

from app.domain.errors import NotAModel
from app.library.gguf_types import TENSOR_TYPES, TensorType

__all__ = ["Container", "HeaderCut", "MetadataValue", "Tensor", "read_container", "read_texts"]

MetadataValue: TypeAlias = bool | int | float | str | tuple[bool | int | float | str, ...]

_Read = TypeVar("_Read")

# Many headers are short; the window grows with those that are not.
_FIRST_BYTES: Final = 1 << 16
_WINDOW_BYTES: Final = 1 << 20
_MAX_METADATA: Final = 1 << 16
_MAX_TENSORS: Final = 1 << 17
_MAX_NAME_BYTES: Final = 1 << 16
_MAX_TEXT_BYTES: Final = 8 << 20
_MAX_KEPT_BYTES: Final = 32 << 20
_MAX_ELEMENTS: Final = 4_000_000
_MAX_KEPT_ELEMENTS: Final = 1024
# Of all arrays together; the largest models have some thousand: a few for each layer.
_MAX_KEPT_IN_ALL: Final = 1 << 17
# The largest vocabularies take 20 MB; a file with holes in it may claim terabytes.
_MAX_HEADER_BYTES: Final = 512 << 20
_MAX_DIMENSIONS: Final = 4
_MAX_WEIGHTS: Final = 1 << 62

_STRING: Final = 8
_ARRAY: Final = 9
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# Where an entry of the tokenizer begins: the length of its key, the key, and a type.
_VOCABULARY: Final = "tokenizer."
_NEXT_ENTRY: Final = re.compile(rb"([\x10-\x40]\0{7})(tokenizer\.(?:ggml\.[a-z_.]+|chat_template[a-z_.]*))[\0-\x0c]\0\0\0")
_MAX_ENTRY_BYTES: Final = 128
_MAX_STRIDE_BYTES: Final = 64 << 20
_LENGTH: Final = struct.Struct("<Q")
# Shape, type and offset of a tensor, by its number of dimensions.
_PLACES: Final = tuple(struct.Struct(f"<{n}QIQ") for n in range(_MAX_DIMENSIONS + 1))


class HeaderCut(NotAModel):
    """The file ends within its header: what is there may be the start of a good one."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where one tensor lies; `offset` counts from the start of the data."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def weights(self) -> int:
        total = 1
        for size in self.shape:
            total *= size
        return total

    @property
    def size_bytes(self) -> int:
        return self.weights // self.type.block * self.type.size_bytes


@dataclass(frozen=True, slots=True)
class Container:
    """What a header says. Arrays of more than 1024 elements are left out of `metadata`.

    `entries` are the places in the file, first byte and the one after the last, of every metadata entry with its key;
    `table_start` is where the list of tensors begins.
    """

    version: int
    metadata: Mapping[str, MetadataValue]
    tensors: tuple[Tensor, ...]
    data_start: int
    entries: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    table_start: int = 0

    @property
    def end(self) -> int:
        """The smallest size in bytes that a whole file can have."""
        return max((self.data_start + tensor.offset + tensor.size_bytes for tensor in self.tensors), default=0)


def read_container(path: Path) -> Container:
    """Read the header of a file. Raises NotAModel with a plain reason for anything but a well-formed GGUF of version 2 or 3."""
    return _read(path, lambda stream: _container(path, stream))


def read_texts(path: Path, key: str, places: Collection[int]) -> dict[int, str]:
    """The texts at these places of an array of texts, also of one that is too long to keep; without those that it lacks.

    Raises NotAModel, as `read_container`.
    """
    return _read(path, lambda stream: _Reader(path, stream).texts(key, places))


def _container(path: Path, stream: BinaryIO) -> Container:
    """First in strides; where that leads nowhere, step by step, which also tells what is wrong."""
    swift = _Reader(path, stream, strides=True)
    try:
        return swift.container()
    except NotAModel:
        if not swift.strode:
            raise
    stream.seek(0)
    return _Reader(path, stream).container()


def _read(path: Path, what: Callable[[BinaryIO], _Read]) -> _Read:
    try:
        if path.exists() and not path.is_file():
            raise NotAModel(path, "it is not a file; choose a .gguf file.")
        with path.open("rb", buffering=0) as stream:
            return what(stream)
    except FileNotFoundError as error:
        raise NotAModel(path, "there is no such file.") from error
    except PermissionError as error:
        raise NotAModel(path, "this account is not allowed to read it.") from error
    except OSError as error:
        raise NotAModel(path, f"it can't be read: {error.strerror or error}.") from error
    except ValueError as error:
        # A NUL in the path.
        raise NotAModel(path, "this is not a file name.") from error


class _Reader:
    """Walks through the file with a window of about 1 MiB.

    With `strides` it looks for what follows a vocabulary instead of stepping from word to word, a tenth of the time; `strode`
    tells whether it did. No real vocabulary holds what it looks for, but a file may have been made to mislead it.
    """

    def __init__(self, path: Path, stream: BinaryIO, *, strides: bool = False) -> None:
        self._path = path
        self._stream = stream
        self._strides = strides
        self.strode = False
        self._window = b""
        self._at = 0
        self._window_start = 0
        self._elements = 0
        self._kept = 0
        self._kept_elements = 0

    def container(self) -> Container:
        version = self._version()
        n_tensors = self._limited(self._u64(), _MAX_TENSORS, "tensors")
        n_metadata = self._limited(self._u64(), _MAX_METADATA, "metadata entries")
        metadata: dict[str, MetadataValue] = {}
        entries: dict[str, tuple[int, int]] = {}
        for _ in range(n_metadata):
            start = self._place
            key = self._text(_MAX_NAME_BYTES)
            value = self._value(self._u32(), is_vocabulary=key.startswith(_VOCABULARY))
            if key in entries:
                raise self._bad(f"its metadata names '{key[:80]}' twice.")
            entries[key] = (start, self._place)
            if value is not None:
                metadata[key] = value
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise self._bad("its alignment is not a power of two.")
        table_start = self._place
        tensors = tuple(self._tensor(alignment) for _ in range(n_tensors))
        if len({tensor.name for tensor in tensors}) != n_tensors:
            raise self._bad("it holds two tensors of the same name.")
        data_start = -(-self._place // alignment) * alignment
        return Container(version, metadata, tensors, data_start, entries, table_start)

    def texts(self, wanted: str, places: Collection[int]) -> dict[int, str]:
        self._version()
        self._limited(self._u64(), _MAX_TENSORS, "tensors")
        for _ in range(self._limited(self._u64(), _MAX_METADATA, "metadata entries")):
            key, kind = self._text(_MAX_NAME_BYTES), self._u32()
            if key == wanted and kind == _ARRAY:
                return self._picked(places) if self._u32() == _STRING else {}
            self._value(kind)
        return {}

    def _picked(self, places: Collection[int]) -> dict[int, str]:
        n = self._limited(self._u64(), _MAX_ELEMENTS, "array elements")
        picked: dict[int, str] = {}
        at = 0
        for place in sorted(place for place in set(places) if 0 <= place < n):
            self._skip_texts(place - at)
            picked[place] = self._text(_MAX_TEXT_BYTES)
            at = place + 1
        return picked

    @property
    def _place(self) -> int:
        return self._window_start + self._at

    def _version(self) -> int:
        self._fill(8, allow_less=True)
        start = self._window[:64]
        if start[:4] != b"GGUF":
            raise self._bad(_foreign(start))
        if len(start) < 24:
            raise HeaderCut(self._path, "it is incomplete. Download or copy it again.")
        self._at = 4
        version = self._u32()
        if version not in (2, 3):
            # A file for the other byte order has its version in the upper bytes.
            if version and version & 0xFFFF == 0:
                raise self._bad("it was made for computers with another byte order. Choose a little-endian GGUF.")
            raise self._bad(f"it is GGUF version {version}; versions 2 and 3 can be read. Convert or download a newer file.")
        return version

    def _tensor(self, alignment: int) -> Tensor:
        name = self._text(_MAX_NAME_BYTES)
        n_dimensions = self._u32()
        if not 0 <= n_dimensions <= _MAX_DIMENSIONS:
            raise self._bad(f"its tensor '{name[:80]}' claims {n_dimensions} dimensions.")
        place = _PLACES[n_dimensions]
        *sizes, number, offset = place.unpack(self._take(place.size))
        shape = tuple(sizes)
        kind = TENSOR_TYPES.get(number)
        if kind is None:
            raise self._bad(f"its weights are stored in a way this version does not know (tensor type {number}).")
        tensor = Tensor(name, shape, kind, offset)
        if tensor.weights > _MAX_WEIGHTS or offset > _MAX_WEIGHTS or offset % alignment or (shape and shape[0] % kind.block):
            raise self._bad(f"its tensor '{name[:80]}' has an impossible size or place.")
        return tensor

    def _value(self, kind: int, *, is_vocabulary: bool = False) -> MetadataValue | None:
        """One metadata value; None for an array that is too long to keep."""
        if kind == _STRING:
            return self._text(_MAX_TEXT_BYTES)
        if kind == _ARRAY:
            return self._array(is_vocabulary)
        return self._scalar(kind)

    def _scalar(self, kind: int) -> bool | int | float:
        code = _SCALARS.get(kind)
        if code is None:
            raise self._bad(f"its metadata uses an unknown value type ({kind}).")
        value: bool | int | float = struct.unpack("<" + code, self._take(struct.calcsize("<" + code)))[0]
        return value

    def _array(self, is_vocabulary: bool) -> MetadataValue | None:
        kind = self._u32()
        n = self._limited(self._u64(), _MAX_ELEMENTS, "array elements")
        if n <= _MAX_KEPT_ELEMENTS:
            self._kept_elements = self._limited(self._kept_elements + n, _MAX_KEPT_IN_ALL, "array elements")
        if kind == _STRING:
            if n <= _MAX_KEPT_ELEMENTS:
                return tuple(self._text(_MAX_TEXT_BYTES) for _ in range(n))
            if is_vocabulary and self._strides:
                self._stride(n)
            else:
                self._skip_texts(n)
            return None
        code = _SCALARS.get(kind)
        if code is None:
            raise self._bad(f"its metadata holds an array of an unsupported type ({kind}).")
        width = struct.calcsize("<" + code)
        if n > _MAX_KEPT_ELEMENTS:
            self._skip(n * width)
            return None
        return struct.unpack(f"<{n}{code}", self._take(n * width))

    def _stride(self, n: int) -> None:
        """Step over `n` strings of a vocabulary, to the next entry of the tokenizer."""
        self.strode = True
        self._elements = self._limited(self._elements + n, _MAX_ELEMENTS, "strings")
        self._skip(n * _LENGTH.size)
        end = self._limited(self._window_start + self._at + _MAX_STRIDE_BYTES, _MAX_HEADER_BYTES, "bytes of header")
        while self._window_start + self._at < end:
            found = _NEXT_ENTRY.search(self._window, self._at)
            if found is not None and len(found[2]) == found[1][0] and found.end() < len(self._window):
                self._at = found.start()
                return
            # The entry may begin at the window's end; one that was none is passed.
            rest = len(self._window) - self._at
            self._at = found.start() + 1 if found is not None else self._at + max(0, rest - _MAX_ENTRY_BYTES)
            if found is None or rest < _MAX_ENTRY_BYTES:
                self._fill(len(self._window) - self._at + 1)
        raise self._cut()

    def _skip_texts(self, n: int) -> None:
        """Step over `n` strings. This is where nearly all the time goes, hence the local names."""
        self._elements = self._limited(self._elements + n, _MAX_ELEMENTS, "strings")
        read_length = _LENGTH.unpack_from
        window, at = self._window, self._at
        last = len(window) - 8
        for _ in range(n):
            if at > last:
                self._at = at
                self._fill(8)
                window, at = self._window, self._at
                last = len(window) - 8
            at += 8 + read_length(window, at)[0]
            if at > last + 8:
                # The string goes beyond the window.
                beyond = at - len(window)
                self._limited(beyond, _MAX_TEXT_BYTES, "bytes in a string")
                self._at = len(window)
                self._skip(beyond)
                window, at = self._window, self._at
                last = len(window) - 8
        self._at = at

    def _text(self, limit: int) -> str:
        length = self._limited(self._u64(), limit, "bytes in a string")
        self._kept = self._limited(self._kept + length, _MAX_KEPT_BYTES, "bytes of text")
        return self._take(length).decode("utf-8", "replace")

    def _u32(self) -> int:
        return int.from_bytes(self._take(4), "little")

    def _u64(self) -> int:
        return int.from_bytes(self._take(8), "little")

    def _take(self, n: int) -> bytes:
        if self._at + n > len(self._window):
            self._fill(n)
        self._at += n
        return self._window[self._at - n : self._at]

    def _skip(self, n: int) -> None:
        left = len(self._window) - self._at
        if n <= left:
            self._at += n
            return
        place = self._limited(self._window_start + self._at + n, _MAX_HEADER_BYTES, "bytes of header")
        if place > self._stream.seek(0, 2):
            raise self._cut()
        self._stream.seek(place)
        self._window, self._at, self._window_start = b"", 0, place

    def _fill(self, n: int, *, allow_less: bool = False) -> None:
        """Move the window so that it starts here and holds at least `n` bytes."""
        rest = self._window[self._at :]
        step = min(_WINDOW_BYTES, max(_FIRST_BYTES, 4 * len(self._window)))
        self._window_start = self._limited(self._window_start + self._at, _MAX_HEADER_BYTES, "bytes of header")
        self._at = 0
        parts, have = [rest] if rest else [], len(rest)
        while have < n:
            part = self._stream.read(max(step, n - have))
            if not part:
                break
            parts.append(part)
            have += len(part)
        self._window = b"".join(parts)
        if have < n and not allow_less:
            raise self._cut()

    def _limited(self, value: int, limit: int, what: str) -> int:
        if value > limit:
            raise self._bad(f"its header is damaged: it claims {value} {what}.")
        return value

    def _cut(self) -> HeaderCut:
        return HeaderCut(self._path, "it is incomplete: it ends within its header. Download or copy it again.")

    def _bad(self, reason: str) -> NotAModel:
        # It may quote the file, and goes to a terminal.
        return NotAModel(self._path, "".join(char if char.isprintable() else "?" for char in reason))


def _foreign(start: bytes) -> str:
    """Say what a file is that is no GGUF."""
    if not start:
        return "it is empty. Download or copy it again."
    head = start.lstrip().lower()
    if head.startswith((b"<!doctype", b"<html")):
        return "it is a web page, not a model. Use the page's download button for the file itself."
    if head.startswith(b"version https://git-lfs"):
        return "it is only a pointer to a file kept in Git LFS. Download the file itself."
    if start.startswith(b"PK\x03\x04"):
        return "it is a ZIP archive or a PyTorch checkpoint. Models must be GGUF files."
    if start[:4] in (b"lmgg", b"fmgg", b"tjgg", b"algg"):
        return "it is in the GGML format that GGUF replaced. Download a GGUF of the same model."
    if start[8:10] == b'{"':
        return "it is a safetensors file. Models must be GGUF files."
    if not start.strip(b"\0"):
        return "it begins with zeros: its download never finished. Download it again."
    return "it is not a GGUF file."
