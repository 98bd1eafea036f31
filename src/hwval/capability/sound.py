"""Sounds: a tone made on the spot, and what a sound that came back holds.

Source of the layout of WAV files: Multimedia Programming Interface and Data Specifications 1.0
(IBM and Microsoft, 1991), and WAVEFORMATEXTENSIBLE of the Windows documentation.
"""

from __future__ import annotations

import array
import io
import math
import struct
import sys
import wave
from typing import Final

__all__ = ["OTHER_TONE_HZ", "TONE_HZ", "make_tone", "trouble_with", "why_not_judged"]

TONE_HZ: Final = 440.0
OTHER_TONE_HZ: Final = 880.0
"""An octave above: both are where models of speech listen best."""
_RATE_HZ: Final = 16_000  # what speech models are trained on
_DURATION_S: Final = 1.5
_FULL_SCALE: Final = 32767
# Speech is never that short or that quiet; silence and noise of the last bit are.
_LEAST_S: Final = 0.2
_LEAST_PEAK: Final = 0.01
_PCM: Final = 1
_FLOAT: Final = 3
_EXTENSIBLE: Final = 0xFFFE
# Where the code of an extensible format stands, in its own chunk.
_EXTENSIBLE_CODE_AT: Final = 24
# (code, bits) -> the samples' code in `array`, and full scale. 24 bits are widened to 32.
_STORED: Final = {
    (_PCM, 8): ("B", 2.0**7),
    (_PCM, 16): ("h", 2.0**15),
    (_PCM, 24): ("i", 2.0**31),
    (_PCM, 32): ("i", 2.0**31),
    (_FLOAT, 32): ("f", 1.0),
    (_FLOAT, 64): ("d", 1.0),
}
_OTHER_FORMATS: Final = {
    b"ID3": "MP3",
    b"\xff\xfb": "MP3",
    b"\xff\xf3": "MP3",
    b"\xff\xf2": "MP3",
    b"\xff\xf1": "AAC",
    b"\xff\xf9": "AAC",
    b"fLaC": "FLAC",
    b"OggS": "Ogg (Opus or Vorbis)",
    b"\x1a\x45\xdf\xa3": "WebM",
}
"""First bytes of a file -> its format."""


def make_tone(hertz: float = TONE_HZ) -> bytes:
    """Return a WAV file: 1.5 s of a tone, one channel, 16 bits, 16 kHz.

    Args:
        hertz: Its frequency, below 8 kHz.
    """
    count = int(_RATE_HZ * _DURATION_S)
    step = 2 * math.pi * hertz / _RATE_HZ
    samples = array.array("h", (round(_FULL_SCALE / 3 * math.sin(step * n)) for n in range(count)))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE_HZ)
        sound.writeframes(_little_endian(samples).tobytes())
    return file.getvalue()


def why_not_judged(data: bytes) -> str:
    """Return why length and loudness of a sound are unknown here, empty if they can be judged.

    Only WAV files are read; others are known by their first bytes.
    """
    for start, name in _OTHER_FORMATS.items():
        if data.startswith(start):
            return f"{len(data)} bytes of {name} came back, which is not decoded here"
    return ""


def trouble_with(data: bytes) -> str:
    """Return what is wrong with a WAV file that shall hold speech, empty if nothing is.

    Samples may be integers of 8, 16, 24 or 32 bits, or floating-point numbers of 32 or 64.
    """
    try:
        channels, frames_per_s = _read(data)
    except (ValueError, struct.error) as error:
        return f"{len(data)} bytes that are no WAV file: {error}"
    seconds = len(channels[0]) / frames_per_s
    if seconds < _LEAST_S:
        return f"the sound takes {seconds:.3g} s, expected speech"
    if not all(math.isfinite(sample) for channel in channels for sample in channel):
        return "the sound has samples that are no numbers"
    # Around the middle of each channel: a level that never moves is silence too.
    peak = max((max(channel) - min(channel)) / 2 for channel in channels)
    return f"the sound is silent: its peak is {peak:.3g}" if peak < _LEAST_PEAK else ""


def _read(data: bytes) -> tuple[list[list[float]], int]:
    """Return the samples of each channel, full scale being 1, and frames per second.

    Raises:
        ValueError: It is no WAV file, or of samples that are not known.
        struct.error: It is cut within its header.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError(f"it begins with {data[:4]!r}")
    chunks = _chunks(data)
    if b"fmt " not in chunks or b"data" not in chunks:
        raise ValueError("its format or its samples are missing")
    head = chunks[b"fmt "]
    code, count, rate, _, _, bits = struct.unpack_from("<HHIIHH", head)
    if code == _EXTENSIBLE:
        (code,) = struct.unpack_from("<H", head, _EXTENSIBLE_CODE_AT)
    if (code, bits) not in _STORED or not count or not rate:
        raise ValueError(f"format {code}, {bits} bits, {count} channels, {rate} Hz")
    frame_bytes = count * bits // 8
    body = chunks[b"data"]
    samples = _numbers(body[: len(body) // frame_bytes * frame_bytes], code, bits)
    return [samples[channel::count] for channel in range(count)], rate


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the chunks of a RIFF file by name, up to the samples."""
    found: dict[bytes, bytes] = {}
    position = 12
    while position + 8 <= len(data) and b"data" not in found:
        kind, size = struct.unpack_from("<4sI", data, position)
        position += 8
        # By what is there: headers of streams tell any length, also 0.
        found[kind] = data[position : position + (size or len(data) * (kind == b"data"))]
        position += size + size % 2
    return found


def _numbers(body: bytes, code: int, bits: int) -> list[float]:
    kind, full_scale = _STORED[code, bits]
    if bits == 24:
        wide = bytearray(len(body) // 3 * 4)
        wide[1::4], wide[2::4], wide[3::4] = body[::3], body[1::3], body[2::3]
        body = bytes(wide)
    return [sample / full_scale for sample in _little_endian(array.array(kind, body))]


def _little_endian(samples: array.array[int]) -> array.array[int]:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples
