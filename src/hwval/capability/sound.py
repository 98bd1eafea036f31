"""Sounds: a tone made on the spot, and what a sound that came back holds."""

from __future__ import annotations

import array
import io
import math
import sys
import wave
from typing import Final

__all__ = ["make_tone", "trouble_with"]

_RATE_HZ: Final = 16_000  # what speech models are trained on
_TONE_HZ: Final = 440.0
_DURATION_S: Final = 1.5
_FULL_SCALE: Final = 32767
_BYTES_A_SAMPLE: Final = 2
# Speech is never that short or that quiet; silence and noise of the last bit are.
_LEAST_S: Final = 0.2
_LEAST_PEAK: Final = 0.01


def make_tone() -> bytes:
    """Return a WAV file: 1.5 s of a tone of 440 Hz, one channel, 16 bits, 16 kHz."""
    count = int(_RATE_HZ * _DURATION_S)
    step = 2 * math.pi * _TONE_HZ / _RATE_HZ
    samples = array.array("h", (round(_FULL_SCALE / 3 * math.sin(step * n)) for n in range(count)))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(_BYTES_A_SAMPLE)
        sound.setframerate(_RATE_HZ)
        sound.writeframes(_little_endian(samples).tobytes())
    return file.getvalue()


def trouble_with(data: bytes) -> str:
    """Return what is wrong with a WAV file that shall hold speech, empty if nothing is."""
    try:
        with wave.open(io.BytesIO(data)) as sound:
            width = sound.getsampwidth()
            frames = sound.readframes(sound.getnframes())
            # By what is there: headers of streams tell any length.
            seconds = len(frames) / (width * sound.getnchannels() * sound.getframerate())
    except (wave.Error, EOFError, ZeroDivisionError) as error:
        return f"{len(data)} bytes that are no WAV file: {error or type(error).__name__}"
    if seconds < _LEAST_S:
        return f"the sound takes {seconds:.3g} s, expected speech"
    if width != _BYTES_A_SAMPLE:
        return ""  # of other widths only the length is known
    samples = _little_endian(array.array("h", frames[: len(frames) // 2 * 2]))
    peak = max(map(abs, samples), default=0) / _FULL_SCALE
    return f"the sound is silent: its peak is {peak:.3g}" if peak < _LEAST_PEAK else ""


def _little_endian(samples: array.array[int]) -> array.array[int]:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples
