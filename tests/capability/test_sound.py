"""Sounds: a tone that any reader takes, and what cannot be speech."""

from __future__ import annotations

import io
import wave
from itertools import pairwise

import pytest

from hwval.capability.sound import make_tone
from hwval.capability.sound import trouble_with


def _wave(frames: bytes, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(width)
        sound.setframerate(1000)
        sound.writeframes(frames)
    return file.getvalue()


def test_tone_is_what_it_says() -> None:
    """1.5 s of 440 Hz: each period crosses zero twice."""
    with wave.open(io.BytesIO(make_tone())) as sound:
        frames = sound.readframes(sound.getnframes())
        rate = sound.getframerate()
    samples = memoryview(frames).cast("h")
    rising = sum(one < 0 <= other for one, other in pairwise(samples))

    assert len(samples) / rate == 1.5
    assert rising == pytest.approx(660, abs=2)
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
        pytest.param(_wave(b"\x80" * 500, width=1), "", id="other-width"),
        pytest.param(_wave(b"\x00\x20\x00\xe0" * 500), "", id="loud"),
    ],
)
def test_trouble_with_sounds(data: bytes, trouble: str) -> None:
    """No file, no time or no sound."""
    told = trouble_with(data)

    assert trouble in told
    assert bool(told) == bool(trouble)
