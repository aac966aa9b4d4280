"""Files of conversations from this program and from others, told apart by what is in them."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, Final

from app.chats.exchange.archive import ArchivedConversation
from app.chats.exchange.chatgpt import Asset, read_chatgpt
from app.chats.exchange.lm_studio import read_lm_studio
from app.chats.exchange.native import FORMAT, read_native
from app.chats.exchange.open_webui import read_open_webui
from app.domain.errors import InvalidRequest

__all__ = ["read_conversations"]

_MOST_BYTES: Final = 2_000_000_000
_MOST_PICTURE_BYTES: Final = 50_000_000
# RuntimeError and NotImplementedError: an archive that is encrypted, or packed in a way that Python does not know.
_UNREADABLE: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    RecursionError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
)


def read_conversations(file: Path) -> list[ArchivedConversation]:
    """The conversations in a file of Hearth, ChatGPT (JSON or the whole ZIP), Open WebUI or LM Studio; none that is empty.

    Raises InvalidRequest, and OSError for a file that can't be read.
    """
    try:
        found = _of_zip(file) if zipfile.is_zipfile(file) else _read(_parsed(_whole(file)), lambda _name: None)
    except _UNREADABLE as error:
        # What our own checks say is a sentence; what a decoder says is not for a person.
        reason = f": {error}" if type(error) is ValueError else ""
        known = "It reads its own files, and the exports of ChatGPT, Open WebUI and LM Studio."
        said = f"{file.name} holds no conversations that Hearth can read{reason.removesuffix('.')}. {known}"
        raise InvalidRequest(said, param="file") from error
    return [conversation for conversation in found if conversation.messages]


def _of_zip(file: Path) -> list[ArchivedConversation]:
    with zipfile.ZipFile(file) as archive:
        names = [
            name
            for name in archive.namelist()
            if (path := PurePosixPath(name)).suffix == ".json" and path.name.startswith("conversations")
        ]
        if not names:
            raise ValueError("there is no conversations.json in the archive")
        found: list[ArchivedConversation] = []
        for name in names:
            found += _read(_parsed(_member(archive, name, _MOST_BYTES)), _assets(archive))
    return found


def _assets(archive: zipfile.ZipFile) -> Asset:
    names = {PurePosixPath(name).name: name for name in archive.namelist()}

    def asset(wanted: str) -> bytes | None:
        name = next((whole for short, whole in names.items() if short.startswith(wanted)), None)
        return _member(archive, name, _MOST_PICTURE_BYTES) if name else None

    return asset


def _member(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    """Its size is what the archive says, which may lie: no more is unpacked."""
    with archive.open(name) as member:
        data = member.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"{name} is too large")
    return data


def _whole(file: Path) -> bytes:
    if file.stat().st_size > _MOST_BYTES:
        raise ValueError("it is too large")
    return file.read_bytes()


def _parsed(data: bytes) -> Any:
    return json.loads(data.decode("utf-8-sig"))


def _read(content: Any, asset: Asset) -> list[ArchivedConversation]:
    if isinstance(content, list):
        return [one for entry in content for one in _read(entry, asset)]
    match content:
        case {"format": format} if format == FORMAT:
            return read_native(content)
        case {"mapping": dict()}:
            return [read_chatgpt(content, asset)]
        case {"chat": {"history": {"messages": dict()}}}:
            return [read_open_webui(content)]
        case {"messages": [{"versions": list()}, *_]}:
            return [read_lm_studio(content)]
    raise ValueError("it is of no format that Hearth knows")
