"""Finds clips that are the same recording by an acoustic fingerprint, whatever their file or name.

A clip's sound becomes one word of 32 bits every 25 ms, each bit the sign of a difference of band
levels in both frequency and time (the sub-fingerprints of Haitsma and Kalker, "A highly robust
audio fingerprinting system", ISMIR 2002). Loudness, codecs and the sampling rate change few of
these bits; the same sentence spoken again shares no more of them than another sentence. Only pairs
of clips that share words are compared, so that the work grows with the number of clips and not
with its square.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from data_pipelines.media import images, sound

_RATE = 5000  # Hz; audio of 8 kHz and more has its whole band.
_HOP = _RATE // 40  # Samples, 25 ms.
_WINDOW = 2048  # Samples, 0.41 s: so long that the hops' phase hardly matters.
_LAG = 8  # Hops between the levels that are compared: over 0.2 s they differ by more than noise.
_LOW, _HIGH, _BANDS = 300.0, 2000.0, 33  # Hz; evenly spaced in log frequency.
_BAND_FLOOR = 1e-3  # Of the loudest band's power, added to every band.
_SILENCE_DB = 40.0  # Below the loudest window of the clip,
_SILENCE_RMS = 8.0  # or an RMS below this, of 32768.
_MIN_CHANGE = 1.0  # dB, of the median difference; a tone or a hum has less.
# Each leaves out one byte, so that wrong bits in that byte do not hide a word.
_BYTE_MASKS = tuple(np.uint32(mask) for mask in (0xFFFFFF00, 0xFFFF00FF, 0xFF00FFFF, 0x00FFFFFF))
_MIN_SHARED = 2  # Words at one and the same distance in time that make a pair worth comparing.
_MAX_OCCURRENCES = 16  # Of a word; more frequent ones are not distinctive.
_MIN_OVERLAP = 24  # Words, 0.6 s: fewer are no evidence.
_PARTS = 6  # Of the overlap, each of which has to match.
# Share of a part's bits: different clips of GRID reach 0.56, AAC copies have 0.75.
_MIN_EQUAL_BITS = 0.64
_MIN_CORRELATION = 0.95  # Of mean frames; a copy realigned from a poor video has 0.986.
_THUMBNAIL = (8, 8)  # Pixels.
_PICTURE_FRAMES = 8  # In the mean frame.


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """Acoustic fingerprint of a clip, with a thumbnail; about 160 bytes a second.

    Attributes:
      words: uint32 [N], one every 25 ms; 0 where the sound is silent or steady.
      picture: uint8 [64], the clip's mean frame as a grey thumbnail of 8x8.
    """

    words: np.ndarray
    picture: np.ndarray


def fingerprint(audio: np.ndarray, rate: int, jpegs: Sequence[bytes]) -> Fingerprint:
    """Computes what `find_duplicates` compares.

    Args:
      audio: int16 [S], mono.
      rate: Sampling rate in Hz.
      jpegs: The clip's frames.

    Returns:
      The clip's fingerprint.
    """
    indices = np.linspace(0, len(jpegs) - 1, min(_PICTURE_FRAMES, len(jpegs))).round().astype(int)
    grey = [images.decode_jpeg(jpegs[t]).mean(axis=-1).astype(np.float32) for t in indices]
    picture = cv2.resize(np.mean(grey, axis=0), _THUMBNAIL, interpolation=cv2.INTER_AREA)
    samples = sound.resample(sound.to_mono_float(audio), rate, _RATE)
    return Fingerprint(_words(samples * 32768), np.rint(picture).astype(np.uint8).ravel())


def find_duplicates(fingerprints: Sequence[Fingerprint]) -> list[tuple[int, int, float]]:
    """Finds pairs of clips that are the same recording.

    Args:
      fingerprints: Fingerprints of all clips.

    Returns:
      Pairs (i, j, share of equal bits, 0 to 1) with i < j, the most similar first.
    """
    if not fingerprints:
        return []
    best: dict[tuple[int, int], float] = {}
    for i, j, shift in _candidates([f.words for f in fingerprints]):
        if _same_face(fingerprints[i].picture, fingerprints[j].picture):
            similarity = _similarity(fingerprints[i].words, fingerprints[j].words, shift)
            if similarity >= _MIN_EQUAL_BITS:
                best[i, j] = max(similarity, best.get((i, j), 0.0))
    return sorted(((i, j, value) for (i, j), value in best.items()), key=lambda p: (-p[2], p))


def _words(samples: np.ndarray) -> np.ndarray:
    """Returns fingerprint words, uint32 [N], of samples [S] at _RATE, full scale 32768."""
    samples = np.pad(samples, (_WINDOW // 2, _WINDOW // 2 + _LAG * _HOP))
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(_WINDOW))) ** 2
    edges = np.geomspace(_LOW, _HIGH, _BANDS + 1) * _WINDOW / _RATE
    bands = np.diff(np.cumsum(power, axis=1)[:, np.rint(edges).astype(int)], axis=1)
    bands += _BAND_FLOOR * bands.max(axis=1, keepdims=True) + 1e-9
    slope = np.diff(10 * np.log10(bands), axis=1)
    change = slope[_LAG:] - slope[:-_LAG]
    bits = np.ascontiguousarray(np.packbits(change > 0, axis=1)).view(">u4")[:, 0]
    level = 10 * np.log10(np.mean(windows**2, axis=1) + 1e-9)
    audible = level > max(level.max() - _SILENCE_DB, 20 * np.log10(_SILENCE_RMS))
    lively = np.median(np.abs(change), axis=1) > _MIN_CHANGE
    return np.where(audible[_LAG:] & audible[:-_LAG] & lively, bits, 0).astype(np.uint32)


def _candidates(words: Sequence[np.ndarray]) -> Iterator[tuple[int, int, int]]:
    """Yields (i, j, shift), i < j: clips that share words, in j `shift` positions earlier."""
    lengths = [len(w) for w in words]
    all_words = np.concatenate(words)
    clip = np.repeat(np.arange(len(words)), lengths)
    position = np.concatenate([np.arange(length) for length in lengths])
    span = 2 * max(lengths) + 1
    candidates = []
    for mask in _BYTE_MASKS:
        key = all_words & mask
        order = np.flatnonzero(all_words)
        order = order[np.argsort(key[order], kind="stable")]  # By word, then by clip.
        counts = np.unique(key[order], return_counts=True)[1]
        order = order[np.repeat(counts <= _MAX_OCCURRENCES, counts)]
        matches = [np.zeros(0, int)]
        for distance in range(1, _MAX_OCCURRENCES):
            a, b = order[:-distance], order[distance:]
            same = (key[a] == key[b]) & (clip[a] != clip[b])
            a, b = a[same], b[same]
            shift = position[a] - position[b] + max(lengths)
            matches.append((clip[a] * len(words) + clip[b]) * span + shift)
        codes, counts = np.unique(np.concatenate(matches), return_counts=True)
        candidates.append(codes[counts >= _MIN_SHARED])
    for code in np.unique(np.concatenate(candidates)).tolist():
        pair, shift = divmod(code, span)
        i, j = divmod(pair, len(words))
        yield i, j, shift - max(lengths)


def _similarity(a: np.ndarray, b: np.ndarray, shift: int) -> float:
    """Returns the share of equal bits in the worst part of two clips' overlap.

    It is 0 if the overlap is less than half of the shorter clip. The worst part, since different
    sentences of the same synthetic voice are equal wherever they share a word.
    """
    min_overlap = max(_MIN_OVERLAP, min(np.count_nonzero(a), np.count_nonzero(b)) / 2)
    a, b = a[max(shift, 0) :], b[max(-shift, 0) :]
    length = min(len(a), len(b))
    a, b = a[:length], b[:length]
    both = (a != 0) & (b != 0)
    if np.count_nonzero(both) < min_overlap:
        return 0.0
    wrong = np.bitwise_count(a[both] ^ b[both]) / 32
    return 1 - max(float(part.mean()) for part in np.array_split(wrong, _PARTS))


def _same_face(a: np.ndarray, b: np.ndarray) -> bool:
    """Returns whether two mean frames agree, mirrored or not, but for brightness and contrast."""
    a = a.reshape(_THUMBNAIL) - a.mean()
    b = b.reshape(_THUMBNAIL) - b.mean()
    correlation = max(np.sum(a * b), np.sum(a * b[:, ::-1]))
    return bool(correlation >= _MIN_CORRELATION * np.sqrt(np.sum(a**2) * np.sum(b**2)))
