"""Clips that are the same recording, found by their sound, whatever file or name it came in.

A clip's sound becomes one word of 32 bits every 25 ms, each bit the sign of a difference of band
levels in both frequency and time (after the sub-fingerprints of Haitsma and Kalker, 2002).
Loudness, codecs and the sampling rate change few of these bits; the same sentence said again
shares about as many as another one. Words that two clips share say which pairs to compare, so
that the work grows with the number of clips and not with its square.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from data_pipelines.media import images, sound

_RATE = 5000  # Hz; sound of 8 kHz and more has all of it.
_HOP = _RATE // 40  # Samples, 25 ms.
_WINDOW = 2048  # Samples, 0.41 s: so long that it hardly matters where the hops fall.
_LAG = 8  # Hops, between the levels that are compared: over 0.2 s they differ by more than noise.
_LOW, _HIGH, _BANDS = 300.0, 2000.0, 33  # Hz; evenly spaced in log frequency.
_DEPTH = 1e-3  # Of the loudest band; what lies below it is not heard.
_QUIET = 40.0  # dB under the loudest window of the clip is silence,
_FLOOR = 8.0  # and so is an RMS below it, of 32768.
_LIVELY = 1.0  # dB, of the median difference; less has a tone or a hum.
# Each leaves out one byte, so that wrong bits in that byte do not hide a word.
_MASKS = tuple(np.uint32(mask) for mask in (0xFFFFFF00, 0xFFFF00FF, 0xFF00FFFF, 0x00FFFFFF))
_SHARED = 2  # Words at one and the same distance in time make two clips worth comparing.
_COMMON = 16  # A word that occurs more often says nothing.
_COMPARED = 24  # Words, 0.6 s: fewer are no evidence.
_PARTS = 6  # Of what is compared, that have to be alike each.
_ALIKE = (
    0.64  # Of the bits of a part: GRID's clips among each other reach 0.56, AAC copies have 0.75.
)
_SAME_FACE = 0.95  # Correlation of mean pictures; a copy realigned from a poor video has 0.986.
_THUMBNAIL = (8, 8)  # Pixels.
_PICTURES = 8  # Frames that the mean picture is made of.


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """About 160 bytes a second: half a kilobyte for a clip of 3 s."""

    words: np.ndarray  # uint32 [N], one every 25 ms; 0 where the sound tells nothing.
    picture: np.ndarray  # uint8 [64], the clip's mean frame, small and grey.


def fingerprint(audio: np.ndarray, rate: int, jpegs: Sequence[bytes]) -> Fingerprint:
    """audio int16 [S] at `rate` Hz and a clip's frames -> what pairs() compares."""
    chosen = np.linspace(0, len(jpegs) - 1, min(_PICTURES, len(jpegs))).round().astype(int)
    grey = [images.decode_jpeg(jpegs[t]).mean(axis=-1).astype(np.float32) for t in chosen]
    picture = cv2.resize(np.mean(grey, axis=0), _THUMBNAIL, interpolation=cv2.INTER_AREA)
    samples = sound.resample(sound.to_mono_float(audio), rate, _RATE)
    return Fingerprint(_words(samples * 32768), np.rint(picture).astype(np.uint8).ravel())


def find_duplicates(fingerprints: Sequence[Fingerprint]) -> list[tuple[int, int, float]]:
    """The pairs (i, j, share of equal bits) of the same recording, i < j, most alike first."""
    if not fingerprints:
        return []
    best: dict[tuple[int, int], float] = {}
    for i, j, shift in _candidates([f.words for f in fingerprints]):
        if _same_face(fingerprints[i].picture, fingerprints[j].picture):
            alike = _alike(fingerprints[i].words, fingerprints[j].words, shift)
            if alike >= _ALIKE:
                best[i, j] = max(alike, best.get((i, j), 0.0))
    return sorted(((i, j, alike) for (i, j), alike in best.items()), key=lambda p: (-p[2], p))


def _words(samples: np.ndarray) -> np.ndarray:
    """float [S] at _RATE, 32768 full scale -> uint32 [N]."""
    samples = np.pad(samples, (_WINDOW // 2, _WINDOW // 2 + _LAG * _HOP))
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW))) ** 2
    edges = np.geomspace(_LOW, _HIGH, _BANDS + 1) * _WINDOW / _RATE
    bands = np.diff(np.cumsum(power, axis=1)[:, np.rint(edges).astype(int)], axis=1)
    bands += _DEPTH * bands.max(axis=1, keepdims=True) + 1e-9
    slope = np.diff(10 * np.log10(bands), axis=1)
    change = slope[_LAG:] - slope[:-_LAG]
    bits = np.ascontiguousarray(np.packbits(change > 0, axis=1)).view(">u4")[:, 0]
    level = 10 * np.log10(np.mean(windows**2, axis=1) + 1e-9)
    heard = level > max(level.max() - _QUIET, 20 * np.log10(_FLOOR))
    tells = heard[_LAG:] & heard[:-_LAG] & (np.median(np.abs(change), axis=1) > _LIVELY)
    return np.where(tells, bits, 0).astype(np.uint32)


def _candidates(words: Sequence[np.ndarray]) -> Iterator[tuple[int, int, int]]:
    """(i, j, shift), i < j, of clips with _SHARED words, in j `shift` places before those in i."""
    lengths = [len(w) for w in words]
    every = np.concatenate(words)
    clip = np.repeat(np.arange(len(words)), lengths)
    place = np.concatenate([np.arange(length) for length in lengths])
    span = 2 * max(lengths) + 1
    found = []
    for mask in _MASKS:
        key = every & mask
        order = np.flatnonzero(every)
        order = order[np.argsort(key[order], kind="stable")]  # By word, then by clip.
        counts = np.unique(key[order], return_counts=True)[1]
        order = order[np.repeat(counts <= _COMMON, counts)]
        meetings = [np.zeros(0, int)]
        for apart in range(1, _COMMON):
            a, b = order[:-apart], order[apart:]
            same = (key[a] == key[b]) & (clip[a] != clip[b])
            a, b = a[same], b[same]
            shift = place[a] - place[b] + max(lengths)
            meetings.append((clip[a] * len(words) + clip[b]) * span + shift)
        codes, counts = np.unique(np.concatenate(meetings), return_counts=True)
        found.append(codes[counts >= _SHARED])
    for code in np.unique(np.concatenate(found)).tolist():
        both, shift = divmod(code, span)
        i, j = divmod(both, len(words))
        yield i, j, shift - max(lengths)


def _alike(a: np.ndarray, b: np.ndarray, shift: int) -> float:
    """Share of equal bits in the worst part of what two clips have in common.

    0 where that is less than half of the shorter one. The worst part, since other sentences of
    the same synthetic voice are equal in the words that they share.
    """
    least = max(_COMPARED, min(np.count_nonzero(a), np.count_nonzero(b)) / 2)
    a, b = a[max(shift, 0) :], b[max(-shift, 0) :]
    length = min(len(a), len(b))
    a, b = a[:length], b[:length]
    both = (a != 0) & (b != 0)
    if np.count_nonzero(both) < least:
        return 0.0
    wrong = np.bitwise_count(a[both] ^ b[both]) / 32
    return 1 - max(float(part.mean()) for part in np.array_split(wrong, _PARTS))


def _same_face(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two mean pictures agree, mirrored or not, but for brightness and contrast."""
    a = a.reshape(_THUMBNAIL) - a.mean()
    b = b.reshape(_THUMBNAIL) - b.mean()
    agreement = max(np.sum(a * b), np.sum(a * b[:, ::-1]))
    return bool(agreement >= _SAME_FACE * np.sqrt(np.sum(a**2) * np.sum(b**2)))
