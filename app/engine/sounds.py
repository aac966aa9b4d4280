"""Sound files, checked before llama.cpp decodes them: it believes their headers, and ends the process if memory runs out."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from app.domain.errors import InvalidRequest

__all__ = ["SoundFile", "read_sound"]

_MAX_FILE_BYTES = 64 * 1024 * 1024
_MIN_SECONDS = 0.1
_MAX_SECONDS = 30 * 60
_MIN_RATE, _MAX_RATE = 4_000, 384_000
_MAX_CHANNELS = 8
# PCM, floats, A-law and mu-law, and how many bits a sample of each may have.
_WAV_BITS = {1: (8, 16, 24, 32), 3: (32, 64), 6: (8,), 7: (8,)}
_WAV_EXTENSIBLE = 0xFFFE
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MP3_KBITS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_KBITS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MP3_TAGS = (b"Xing", b"Info", b"VBRI")
# Pictures and lyrics stand in a tag of known size; more than this between frames is no MP3.
_MP3_MAX_JUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class SoundFile:
    """A WAV, FLAC or MP3 file whose header is true. `digest` is the SHA-256 of the file as it came."""

    data: bytes
    seconds: float
    digest: bytes


def read_sound(data: bytes, *, param: str | None = "messages") -> SoundFile:
    """Check a WAV, FLAC or MP3 file without decoding it, and leave out what a decoder could stumble over.

    Raises InvalidRequest.
    """
    if len(data) > _MAX_FILE_BYTES:
        raise InvalidRequest(
            f"A sound file may be at most {_MAX_FILE_BYTES // 2**20} MB; this one has {len(data) / 2**20:.0f}.", param=param
        )
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        read = _read_wav
    elif data[:4] == b"fLaC":
        read = _read_flac
    elif data[:3] == b"ID3" or (data[:1] == b"\xff" and data[1:2] >= b"\xe0"):
        read = _read_mp3
    else:
        raise InvalidRequest("A sound must be a WAV, MP3 or FLAC file; this one is something else.", param=param)
    try:
        honest, seconds = read(data)
    except _Unreadable as error:
        raise InvalidRequest(f"A sound file can't be read: {error}. Save it anew as WAV, MP3 or FLAC.", param=param) from error
    if seconds > _MAX_SECONDS:
        raise InvalidRequest(f"A sound may be at most {_MAX_SECONDS // 60} minutes long. Cut it.", param=param)
    if seconds < _MIN_SECONDS:
        raise InvalidRequest(f"A sound must be at least {_MIN_SECONDS} seconds long.", param=param)
    return SoundFile(honest, seconds, hashlib.sha256(data).digest())


class _Unreadable(Exception):
    """Says why, as the end of a sentence."""


# ------------------------------------------------------------------------------------------------------------------- WAV
def _read_wav(data: bytes) -> tuple[bytes, float]:
    """The file with nothing but its format and its samples, and its length in seconds. Streamed files give no true sizes."""
    chunks = dict(_riff_chunks(data))
    header, samples = chunks.get(b"fmt "), chunks.get(b"data")
    if header is None or samples is None or len(header) < 16:
        raise _Unreadable("it has no samples or does not say what they are")
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", header)
    if tag == _WAV_EXTENSIBLE and len(header) >= 26:
        (tag,) = struct.unpack_from("<H", header, 24)
    if bits not in _WAV_BITS.get(tag, ()):
        raise _Unreadable("its samples are stored in a way that is not known here")
    _check_shape(channels, rate)
    if block != channels * bits // 8:
        raise _Unreadable("its header contradicts itself")
    n_bytes = len(samples) // block * block
    plain = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + n_bytes, b"WAVE", b"fmt ", 16, tag, channels, rate, rate * block, block, bits
    )
    return plain + struct.pack("<4sI", b"data", n_bytes) + samples[:n_bytes], n_bytes / block / rate


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content, as far as it is there, up to the samples."""
    at, name = 12, b""
    while at + 8 <= len(data) and name != b"data":
        name, size = struct.unpack_from("<4sI", data, at)
        yield name, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


# ------------------------------------------------------------------------------------------------------------------ FLAC
def _read_flac(data: bytes) -> tuple[bytes, float]:
    """A decoder reads no more samples than the header names, so it is enough that these are not too many."""
    if len(data) < 42 or data[4] & 0x7F != 0:
        raise _Unreadable("its header is missing")
    packed = int.from_bytes(data[18:26], "big")
    rate, channels, n_samples = packed >> 44, (packed >> 41 & 7) + 1, packed & (1 << 36) - 1
    _check_shape(channels, rate)
    if not n_samples:
        raise _Unreadable("it does not say how long it is")
    return data, n_samples / rate


# ------------------------------------------------------------------------------------------------------------------- MP3
def _read_mp3(data: bytes) -> tuple[bytes, float]:
    """The file's frames alone, without tags: they can claim any length."""
    frames: list[bytes] = []
    seconds = 0.0
    for frame, duration in _mp3_frames(data, _after_id3(data)):
        if not frames and any(tag in frame[:200] for tag in _MP3_TAGS):
            continue
        frames.append(frame)
        seconds += duration
        if seconds > _MAX_SECONDS:
            break
    if not frames:
        raise _Unreadable("no sound was found in it")
    return b"".join(frames), seconds


def _after_id3(data: bytes) -> int:
    at = 0
    while data[at : at + 3] == b"ID3" and at + 10 <= len(data):
        size = sum((byte & 0x7F) << shift for byte, shift in zip(data[at + 6 : at + 10], (21, 14, 7, 0), strict=True))
        at += 10 + size
    return at


def _mp3_frames(data: bytes, at: int) -> Iterator[tuple[bytes, float]]:
    """Every whole frame and its length in seconds. What lies between frames is left out."""
    rate, junk = 0, 0
    while at + 4 <= len(data):
        frame = _mp3_frame(data, at)
        fits = (
            frame is not None and at + frame[0] <= len(data) and (frame[1] == rate or (not rate and _leads_on(data, at, frame)))
        )
        if frame is not None and fits:
            size, rate, n_samples = frame
            yield data[at : at + size], n_samples / rate
            at += size
            continue
        following = data.find(b"\xff", at + 1)
        if following < 0:
            return
        junk += following - at
        if junk > _MP3_MAX_JUNK:
            raise _Unreadable("too much of it is no sound")
        at = following


def _leads_on(data: bytes, at: int, frame: tuple[int, int, int]) -> bool:
    """Whether what looks like the first frame ends the file or is followed by another of its kind."""
    following = at + frame[0]
    after = _mp3_frame(data, following)
    return following == len(data) or (after is not None and after[1] == frame[1])


def _mp3_frame(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Size in bytes, sample rate and number of samples, from a frame's four bytes of header; None if this is none."""
    header = data[at : at + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, kbits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate == 3 or kbits in (0, 15):
        return None
    n_samples, rates = (1152, _MP3_KBITS_1) if version == 3 else (576, _MP3_KBITS_2)
    hertz = _MP3_RATES[version][rate]
    return n_samples // 8 * rates[kbits - 1] * 1000 // hertz + (header[2] >> 1 & 1), hertz, n_samples


def _check_shape(channels: int, rate: int) -> None:
    if not 1 <= channels <= _MAX_CHANNELS or not _MIN_RATE <= rate <= _MAX_RATE:
        raise _Unreadable(f"{channels} channels of {rate} samples a second are not usual")
