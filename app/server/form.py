"""Reading a request's body as multipart/form-data: in memory, within the limits of any body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

from app.domain.errors import InvalidRequest
from app.server.body import body_chunks, explained

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["Form", "read_form"]

_MAX_PARTS = 100

Wire = TypeVar("Wire", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Form:
    """Fields and files by their names. A name with [] at its end stands for a list, and is kept without the []."""

    fields: Mapping[str, str | list[str]]
    files: Mapping[str, bytes]

    def body(self, model: type[Wire]) -> Wire:
        """The fields as `model`; empty ones count as left out. Raises InvalidRequest."""
        given = {name: value for name, value in self.fields.items() if value}
        try:
            return model.model_validate(given)
        except ValidationError as error:
            raise explained(error.errors(include_url=False, include_context=True), given) from error

    def file(self, name: str) -> bytes:
        """Raises InvalidRequest if it is missing or empty."""
        content = self.files.get(name)
        if content is None:
            wrong = "must be sent as a file, with a file name" if name in self.fields else "is missing"
            raise InvalidRequest(f"'{name}' {wrong}.", param=name)
        if not content:
            raise InvalidRequest(f"The file in '{name}' is empty.", param=name)
        return content


async def read_form(request: Request) -> Form:
    """Raises InvalidRequest, and HTTPException as `body_chunks` does."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise HTTPException(415, f"Send the body as Content-Type multipart/form-data, not '{kind[:100].decode('latin-1')}'.")
    parts = _Parts()
    try:
        parser = MultipartParser(options.get(b"boundary", b""), parts.callbacks)
        async for chunk in body_chunks(request):
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise InvalidRequest(f"The request's body is not a valid form: {error}") from error
    return parts.form


class _Parts:
    """Gathers what the parser finds."""

    def __init__(self) -> None:
        self._fields: dict[str, str | list[str]] = {}
        self._files: dict[str, bytes] = {}
        self._n = 0
        self._begin()

    @property
    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_header_name,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_part_data": self._on_data,
            "on_part_end": self._on_end,
        }

    @property
    def form(self) -> Form:
        return Form(self._fields, self._files)

    def _begin(self) -> None:
        self._header_name = b""
        self._header_value = b""
        self._disposition: dict[bytes, bytes] = {}
        self._data = bytearray()

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, self._disposition = parse_options_header(self._header_value)
        self._header_name = self._header_value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def _on_end(self) -> None:
        self._n += 1
        if self._n > _MAX_PARTS:
            raise FormParserError(f"it has more than {_MAX_PARTS} parts.")
        if b"name" not in self._disposition:
            raise FormParserError("a part has no name.")
        name = self._disposition[b"name"].decode("utf-8", "replace")
        if b"filename" in self._disposition:
            self._files[name] = bytes(self._data)
            return
        value = self._data.decode("utf-8", "replace")
        if not name.endswith("[]"):
            self._fields[name] = value
            return
        name = name.removesuffix("[]")
        gathered = self._fields.get(name)
        self._fields[name] = [*gathered, value] if isinstance(gathered, list) else [value]
