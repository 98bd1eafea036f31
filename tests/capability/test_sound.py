"""Sounds: a tone that any reader takes, and what cannot be speech."""

from __future__ import annotations

import io
import struct
import wave
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.capability.sound import OTHER_TONE_HZ
from hwval.capability.sound import TONE_HZ
from hwval.capability.sound import make_tone
from hwval.capability.sound import trouble_with
from hwval.capability.sound import why_not_judged


def _wave(frames: bytes, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(width)
        sound.setframerate(1000)
        sound.writeframes(frames)
    return file.getvalue()


def _riff(code: int, bits: int, frames: bytes, *, size: int | None = None) -> bytes:
    """Return a WAV file of one channel at 1 kHz, whatever its samples are."""
    head = struct.pack("<HHIIHH", min(code, 0xFFFE), 1, 1000, bits * 125, bits // 8, bits)
    head += struct.pack("<HHIH14x", 22, bits, 0, 1) if code == 0xFFFE else b""
    told = len(frames) if size is None else size
    parts = (b"fmt ", struct.pack("<I", len(head)), head, b"LIST", struct.pack("<I", 3), b"abc\0")
    body = b"".join((*parts, b"data", struct.pack("<I", told), frames))
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


# Code, bits, one sample that is low and one that is high.
WIDTHS = [
    pytest.param(1, 8, b"\x60", b"\xa0", id="8-bit"),
    pytest.param(1, 16, b"\x00\xe0", b"\x00\x20", id="16-bit"),
    pytest.param(1, 24, b"\x01\x00\xe0", b"\x01\x00\x20", id="24-bit"),
    pytest.param(1, 32, b"\x01\x01\x00\xe0", b"\x01\x01\x00\x20", id="32-bit"),
    pytest.param(3, 32, struct.pack("<f", -0.2), struct.pack("<f", 0.2), id="float"),
    pytest.param(3, 64, struct.pack("<d", -0.2), struct.pack("<d", 0.2), id="double"),
    pytest.param(0xFFFE, 24, b"\x01\x00\xe0", b"\x01\x00\x20", id="extensible"),
]


@pytest.mark.parametrize(("code", "bits", "low", "high"), WIDTHS)
def test_samples_of_every_width_are_judged(code: int, bits: int, low: bytes, high: bytes) -> None:
    """Loud, silent and short, also where a stream's header tells no length."""
    assert trouble_with(_riff(code, bits, (low + high) * 150)) == ""
    assert trouble_with(_riff(code, bits, (low + high) * 150, size=0)) == ""
    assert trouble_with(_riff(code, bits, (low + high) * 150, size=2**32 - 1)) == ""
    assert "silent" in trouble_with(_riff(code, bits, low * 300))
    assert "takes 0.1 s" in trouble_with(_riff(code, bits, (low + high) * 50))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        pytest.param(b"ID3\x04\x00", "5 bytes of MP3", id="mp3-with-tags"),
        pytest.param(b"\xff\xfb\x90\x64", "MP3", id="mp3"),
        pytest.param(b"fLaC\x00", "FLAC", id="flac"),
        pytest.param(b"OggS\x00", "Opus", id="opus"),
        pytest.param(make_tone(), "", id="wav"),
        pytest.param(b"no sound at all", "", id="unknown"),
    ],
)
def test_other_formats_are_told(data: bytes, name: str) -> None:
    """They are neither good nor bad; what is no sound is left to the other check."""
    told = why_not_judged(data)

    assert name in told
    assert bool(told) == bool(name)


@given(st.binary(max_size=200), st.integers(0, 44))
def test_any_bytes_can_be_looked_at(data: bytes, kept: int) -> None:
    """Nothing that a server can send breaks the check."""
    assert trouble_with(data)
    assert trouble_with(make_tone()[:kept] + data)


@pytest.mark.parametrize(("hertz", "periods"), [(TONE_HZ, 660), (OTHER_TONE_HZ, 1320)])
def test_tone_is_what_it_says(hertz: float, periods: int) -> None:
    """1.5 s of it: each period crosses zero twice."""
    with wave.open(io.BytesIO(make_tone(hertz))) as sound:
        frames = sound.readframes(sound.getnframes())
        rate = sound.getframerate()
    samples = memoryview(frames).cast("h")
    rising = sum(one < 0 <= other for one, other in pairwise(samples))

    assert len(samples) / rate == 1.5
    assert rising == pytest.approx(periods, abs=2)
    assert trouble_with(make_tone()) == ""


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        pytest.param(b"", "0 bytes that are no WAV file", id="empty"),
        pytest.param(b"ID3 an MP3 file", "15 bytes that are no WAV file", id="mp3"),
        pytest.param(make_tone()[:20], "no WAV file", id="cut-header"),
        pytest.param(_wave(b"\x00\x10" * 100), "takes 0.1 s", id="short"),
        pytest.param(make_tone()[:44], "takes 0 s", id="header-alone"),
        pytest.param(_wave(b"\x00\x00" * 500), "silent", id="silent"),
        pytest.param(_wave(b"\x01\x00" * 500), "silent", id="last-bit"),
        pytest.param(_wave(b"\x00\x10" * 500), "silent", id="one-level"),
        pytest.param(make_tone().replace(b"data", b"dada"), "are missing", id="no-samples"),
        pytest.param(_riff(7, 8, b"\xff" * 500), "format 7, 8 bits", id="mu-law"),
        pytest.param(_riff(3, 32, b"\x00\x00\xc0\x7f" * 500), "no numbers", id="nan"),
        pytest.param(_wave(b"\x00\x20\x00\xe0" * 500), "", id="loud"),
    ],
)
def test_trouble_with_sounds(data: bytes, trouble: str) -> None:
    """No file, no time or no sound."""
    told = trouble_with(data)

    assert trouble in told
    assert bool(told) == bool(trouble)
