"""Sentences of GRID's grammar, spoken by eSpeak NG, with the times of words and phones."""

import _ctypes
import ctypes
import dataclasses

import numpy as np

from data_pipelines.common import errors
from data_pipelines.contract import TimedText

RATE = 22050  # Hz, of eSpeak's own voices.
VOICES = tuple(
    f"{language}+{variant}"
    for language in ("en", "en-us", "en-029")
    for variant in ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")
)
GRAMMAR = (
    ("bin", "lay", "place", "set"),
    ("blue", "green", "red", "white"),
    ("at", "by", "in", "with"),
    tuple("abcdefghijklmnopqrstuvxyz"),  # GRID leaves out w, the only letter of several syllables.
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "zero"),
    ("again", "now", "please", "soon"),
)
_LETTER_A = "[[eI]]"  # eSpeak reads a lone "a" as the article; this is its name in eSpeak's code.

_SYNCHRONOUS, _IPA_PHONEME_EVENTS = 2, 3
_CHARACTERS, _UTF8_AND_PHONEMES = 1, 0x101
_PARAMETER_RATE, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 3, 4
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7


@dataclasses.dataclass(frozen=True)
class Voice:
    """How a sentence is spoken.

    Attributes:
      name: One of VOICES, or another voice of eSpeak NG.
      pitch: Pitch in [0, 100].
      pitch_range: Range of the pitch, in [0, 100]; 0: a monotone.
      rate: Words/min, 80 or more.
    """

    name: str = "en"
    pitch: int = 50
    pitch_range: int = 50
    rate: int = 120


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_void_p), ("string", ctypes.c_byte * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


def random_sentence(rng: np.random.Generator) -> tuple[str, ...]:
    """Draws a sentence of GRID's grammar.

    Args:
      rng: The source of randomness.

    Returns:
      Six words: command, colour, preposition, letter, digit, adverb.
    """
    return tuple(words[rng.integers(len(words))] for words in GRAMMAR)


def sentence_code(sentence: tuple[str, ...]) -> str:
    """Codes a sentence as GRID's file names do, e.g. bbaf2n for bin blue at f two now.

    Args:
      sentence: Six words of GRAMMAR.

    Returns:
      Six characters.
    """
    command, colour, preposition, letter, digit, adverb = sentence
    number = "z" if digit == "zero" else str(1 + GRAMMAR[4].index(digit))
    return command[0] + colour[0] + preposition[0] + letter + number + adverb[0]


def speak(
    sentence: tuple[str, ...], voice: Voice
) -> tuple[np.ndarray, list[TimedText], list[TimedText]]:
    """Synthesizes a sentence, the same on every call.

    eSpeak NG carries its phase from one sentence to the next in variables that its own
    initialisation does not reset, so the library is loaded again for each (1 ms); the breath noise
    of some voices would be seeded by the clock.

    Args:
      sentence: The words.
      voice: Voice in which they are spoken.

    Returns:
      Samples, int16 [S] at RATE; the words; the phones in IPA; times in seconds.
    """
    spelled = tuple(_LETTER_A if word == "a" else word for word in sentence)
    path, data = library()
    espeak = ctypes.CDLL(path)
    try:
        samples, events = _synthesize(espeak, data, " ".join(spelled).encode(), voice)
        espeak.espeak_Terminate()
    finally:
        _unload(espeak)
    return samples, *_spans(sentence, events, len(samples) / RATE)


def library() -> tuple[str, bytes]:
    """Finds eSpeak NG.

    Returns:
      The paths of the library and of its voices.

    Raises:
      UserError: eSpeak NG is not installed.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise errors.UserError(
            "The demo corpus speaks with eSpeak NG, and espeakng_loader is not installed: "
            "pip install 's2f_jax[data]'"
        ) from error
    return str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path()).encode()


def _unload(espeak: ctypes.CDLL) -> None:
    close = getattr(_ctypes, "dlclose", None) or getattr(_ctypes, "FreeLibrary")  # noqa: B009
    close(espeak._handle)


def _check(status: int, request: str, expected: int = 0) -> None:
    if status != expected:
        raise RuntimeError(f"eSpeak NG returned {status} for {request}")


def _synthesize(
    espeak: ctypes.CDLL, data: bytes, text: bytes, voice: Voice
) -> tuple[np.ndarray, list[tuple[int, int, int, str]]]:
    """Returns int16 [S] and events (type, position in the text, sample, phone) in order of time."""
    chunks, events = [], []

    def receive(samples, count, event) -> int:
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while event[index].type != _EVENT_END:
            e = event[index]
            phone = bytes(e.id.string).split(b"\0")[0].decode() if e.type == _EVENT_PHONEME else ""
            events.append((e.type, e.text_position - 1, e.sample, phone))
            index += 1
        return 0

    callback = _Callback(receive)
    rate = espeak.espeak_Initialize(_SYNCHRONOUS, 0, data, _IPA_PHONEME_EVENTS)
    _check(rate, "espeak_Initialize", RATE)
    espeak.espeak_SetSynthCallback(callback)
    _check(espeak.espeak_ng_SetRandSeed(ctypes.c_long(0)), "espeak_ng_SetRandSeed")
    _check(espeak.espeak_SetVoiceByName(voice.name.encode()), f"the voice {voice.name!r}")
    for parameter, value in (
        (_PARAMETER_RATE, voice.rate),
        (_PARAMETER_PITCH, voice.pitch),
        (_PARAMETER_RANGE, voice.pitch_range),
    ):
        _check(espeak.espeak_SetParameter(parameter, value, 0), f"parameter {parameter}={value}")
    size = len(text) + 1
    status = espeak.espeak_Synth(text, size, 0, _CHARACTERS, 0, _UTF8_AND_PHONEMES, None, None)
    _check(status, f"{text!r}")
    return np.concatenate(chunks), events


def _spans(
    sentence: tuple[str, ...], events: list[tuple[int, int, int, str]], duration: float
) -> tuple[list[TimedText], list[TimedText]]:
    # A phone ends where the next begins, a word with its last phone.
    timed = [event for event in events if event[0] == _EVENT_PHONEME]
    starts = [sample / RATE for _, _, sample, _ in timed] + [duration]
    positions = [position for kind, position, _, _ in events if kind == _EVENT_WORD]
    if len(positions) != len(sentence):
        raise RuntimeError(f"eSpeak NG found {len(positions)} words in {' '.join(sentence)!r}")
    phones, owners = [], []
    for (_, position, _, text), start, end in zip(timed, starts, starts[1:], strict=False):
        if text.strip("ˈˌ") and end > start:  # Else a pause at the end.
            phones.append(TimedText(text.strip("ˈˌ"), start, end))
            owners.append(positions.index(max(p for p in positions if p <= position)))
    words = []
    for index, text in enumerate(sentence):
        own = [phone for phone, owner in zip(phones, owners, strict=True) if owner == index]
        if not own:
            raise RuntimeError(f"eSpeak NG spoke no phone of {text!r} in {' '.join(sentence)!r}")
        words.append(TimedText(text, own[0].start, own[-1].end))
    return words, phones
