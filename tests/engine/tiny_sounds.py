"""Sound files made by hand, one per format."""

from __future__ import annotations

import struct

import numpy as np

__all__ = ["flac", "mp3", "mp3_frame", "wav"]

MP3_SAMPLES, MP3_RATE = 1152, 44100


def wav(seconds: float, *, rate: int = 16000, channels: int = 1, pitch: float = 440.0, kind: str = "<i2") -> bytes:
    """A tone. `kind` is the samples' numpy type: u1, <i2, <i4, <f4 or <f8."""
    wave = np.sin(np.arange(round(seconds * rate)) / rate * 2 * np.pi * pitch) * 0.3
    dtype = np.dtype(kind)
    scaled = wave if dtype.kind == "f" else wave * 2 ** (8 * dtype.itemsize - 1) + (128 if kind == "u1" else 0)
    samples = np.repeat(scaled.astype(dtype), channels).tobytes()
    block = channels * dtype.itemsize
    tag = 3 if dtype.kind == "f" else 1
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, 8 * dtype.itemsize)
    return wav_of(form, samples)


def wav_of(form: bytes, samples: bytes, *, size: int | None = None) -> bytes:
    """A file of these parts, with another chunk between; `size` is what it says the samples take."""
    size = len(samples) if size is None else size
    body = b"WAVE" + _chunk(b"fmt ", form) + _chunk(b"LIST", b"odd") + b"data" + struct.pack("<I", size & 0xFFFFFFFF) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def mp3_frame(content: bytes = b"") -> bytes:
    """26 ms of silence at 128 kbit/s."""
    return (b"\xff\xfb\x90\xc4" + content).ljust(417, b"\0")


def mp3(seconds: float, *, before: bytes = b"") -> bytes:
    return before + mp3_frame() * round(seconds * MP3_RATE / MP3_SAMPLES)


def flac(seconds: float, *, rate: int = 16000, n_samples: int | None = None) -> bytes:
    """Silence, in frames of 4096 equal samples. `n_samples` is what the header says."""
    n_frames = round(seconds * rate / 4096)
    packed = rate << 44 | 0 << 41 | 15 << 36 | (n_frames * 4096 if n_samples is None else n_samples)
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + b"\x80\0\0\x22" + info + b"".join(map(_flac_frame, range(n_frames)))


def _flac_frame(number: int) -> bytes:
    # 4096 samples of one channel in 16 bits, at the rate of the header.
    header = b"\xff\xf8\xc0\x08" + chr(number).encode("utf-8", "surrogatepass")
    frame = header + _crc(header, 8, 0x07) + b"\0\0\0"
    return frame + _crc(frame, 16, 0x8005)


def _crc(data: bytes, bits: int, polynomial: int) -> bytes:
    value = 0
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> bits - 1 else 0)) & (1 << bits) - 1
    return value.to_bytes(bits // 8, "big")
