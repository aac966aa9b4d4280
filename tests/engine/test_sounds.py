from __future__ import annotations

import struct

import pytest

from app.domain.errors import InvalidRequest
from app.engine.sounds import read_sound
from tests.engine.tiny_sounds import flac, mp3, mp3_frame, wav, wav_of

PCM = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (wav(1.5), 1.5),
        (wav(1.5, rate=44100, channels=2, kind="<f4"), 1.5),
        (flac(1.024), 1.024),
        (mp3(1.0), 0.993),
        (mp3(1.0, before=b"ID3\x04\0\0\0\0\x01\x02" + bytes(130)), 0.993),
    ],
)
def test_a_sound_is_as_long_as_its_samples(data: bytes, seconds: float) -> None:
    assert read_sound(data).seconds == pytest.approx(seconds, abs=1e-3)


def test_equal_files_have_equal_digests() -> None:
    assert read_sound(wav(1)).digest == read_sound(wav(1)).digest != read_sound(wav(1, pitch=220)).digest


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFF0, 32000])
def test_a_streamed_wav_is_as_long_as_what_arrived(size: int) -> None:
    sound = read_sound(wav_of(PCM, bytes(32000), size=size))
    assert sound.seconds == 1
    assert struct.unpack_from("<I", sound.data, 40) == (32000,)


def test_an_extensible_wav_is_read_by_its_kind_of_samples() -> None:
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 16000, 32000, 2, 16, 22, 16, 4) + struct.pack("<H", 1) + bytes(14)
    assert read_sound(wav_of(form, bytes(32000))).seconds == 1


@pytest.mark.parametrize("tag", [b"Xing", b"Info", b"VBRI"])
def test_what_a_tag_says_of_an_mp3s_length_is_not_believed(tag: bytes) -> None:
    claims = mp3_frame(bytes(32) + tag + struct.pack(">II", 1, 0xFFFFFFFF))
    sound = read_sound(mp3(1.0, before=claims))
    assert tag not in sound.data
    assert sound.data == mp3(1.0)


def test_what_lies_between_frames_is_left_out() -> None:
    sound = read_sound(mp3(0.5) + b"junk\xff\xfb" * 9 + mp3(0.5) + b"TAG" + bytes(125))
    assert sound.data == mp3(0.5) * 2


@pytest.mark.parametrize(
    "data",
    [
        wav_of(struct.pack("<HHIIHH", 1, 1, 1, 2, 2, 16), bytes(32000)),
        wav_of(struct.pack("<HHIIHH", 1, 0, 16000, 0, 0, 16), bytes(32000)),
        wav_of(struct.pack("<HHIIHH", 1, 1, 16000, 32000, 1, 16), bytes(32000)),
        wav_of(struct.pack("<HHIIHH", 2, 1, 16000, 8000, 256, 4), bytes(32000)),
        wav(1)[:30],
        b"RIFF\0\0\0\0WAVE",
        flac(1)[:40],
        flac(1, n_samples=0),
        b"fLaC" + bytes(60),
        b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
        b"\xff\xfb\x90\xc4" * 3,
        b"\xff" * 200_000,
        b"\xff\xfb" + bytes(200_000),
    ],
)
def test_files_that_contradict_themselves_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"can't be read|at least"):
        read_sound(data)


@pytest.mark.parametrize(
    "data", [wav_of(struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8), bytes(8000 * 1801)), flac(1, n_samples=2**36 - 1)]
)
def test_a_long_sound_is_refused_before_it_is_decoded(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="30 minutes"):
        read_sound(data)


def test_a_long_mp3_is_refused_without_being_read_to_its_end() -> None:
    # 64 kbit/s in frames of 576 samples at 8 kHz.
    frame = (b"\xff\xe3\x88\xc4").ljust(576, b"\0")
    with pytest.raises(InvalidRequest, match="30 minutes"):
        read_sound(frame * 30_000)


@pytest.mark.parametrize("data", [wav(0.05), wav(0), flac(0, n_samples=100)])
def test_a_mere_click_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="at least"):
        read_sound(data)


@pytest.mark.parametrize("data", [b"", b"hello", b"OggS" + bytes(40), b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"])
def test_other_files_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="WAV, MP3 or FLAC") as caught:
        read_sound(data, param="messages[0]")
    assert caught.value.param == "messages[0]"


def test_a_huge_file_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="at most 64 MB"):
        read_sound(bytes(65 * 2**20))
