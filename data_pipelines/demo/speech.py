"""Sentences of GRID's grammar, spoken by eSpeak NG, with the time of every sound."""

import _ctypes
import ctypes
import dataclasses

import numpy as np

from data_pipelines.common import errors

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
    """How one sentence is spoken."""

    name: str = "en"  # One of VOICES, or a voice of eSpeak.
    pitch: int = 50  # 0 .. 100.
    pitch_range: int = 50  # 0 .. 100, 0 a monotone.
    rate: int = 120  # Words/min; eSpeak takes 80 and more.


@dataclasses.dataclass(frozen=True)
class PhoneSpan:
    """A word or a sound, in seconds."""

    text: str
    start: float
    end: float


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
    """Six words: command, colour, preposition, letter, digit, adverb."""
    return tuple(words[rng.integers(len(words))] for words in GRAMMAR)


def code(sentence: tuple[str, ...]) -> str:
    """GRID's file name for the sentence: bin blue at f two now -> bbaf2n."""
    command, colour, preposition, letter, digit, adverb = sentence
    number = "z" if digit == "zero" else str(1 + GRAMMAR[4].index(digit))
    return command[0] + colour[0] + preposition[0] + letter + number + adverb[0]


def speak(
    sentence: tuple[str, ...], voice: Voice
) -> tuple[np.ndarray, list[PhoneSpan], list[PhoneSpan]]:
    """Words -> (int16 [S] at RATE, words, phones in IPA), the same on every call.

    eSpeak carries its phase from one sentence to the next in variables that its own
    initialisation does not reset, so the library is loaded anew for each (1 ms); the breath of
    some voices would be seeded by the clock.
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
    """-> the path of eSpeak NG and of its voices; raises errors.UserError where there is none."""
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


def _check(status: int, what: str, expected: int = 0) -> None:
    if status != expected:
        raise RuntimeError(f"eSpeak NG answered {status} to {what}")


def _synthesize(
    espeak: ctypes.CDLL, data: bytes, text: bytes, voice: Voice
) -> tuple[np.ndarray, list[tuple[int, int, int, str]]]:
    """-> int16 [S], events (type, position in the text, sample, phone), in order of time."""
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
    status = espeak.espeak_Synth(
        text, len(text) + 1, 0, _CHARACTERS, 0, _UTF8_AND_PHONEMES, None, None
    )
    _check(status, f"{text!r}")
    return np.concatenate(chunks), events


def _spans(sentence, events, duration: float) -> tuple[list[PhoneSpan], list[PhoneSpan]]:
    """Events -> words and phones. A sound ends where the next begins, a word with its last sound."""
    timed = [event for event in events if event[0] == _EVENT_PHONEME]
    starts = [sample / RATE for _, _, sample, _ in timed] + [duration]
    positions = [position for kind, position, _, _ in events if kind == _EVENT_WORD]
    if len(positions) != len(sentence):
        raise RuntimeError(f"eSpeak NG heard {len(positions)} words in {' '.join(sentence)!r}")
    phones, owners = [], []
    for (_, position, _, text), start, end in zip(timed, starts, starts[1:], strict=False):
        if text.strip("ˈˌ") and end > start:  # The rest are the pauses at the end.
            phones.append(PhoneSpan(text.strip("ˈˌ"), start, end))
            owners.append(positions.index(max(p for p in positions if p <= position)))
    words = []
    for index, text in enumerate(sentence):
        own = [phone for phone, owner in zip(phones, owners, strict=True) if owner == index]
        if not own:
            raise RuntimeError(f"eSpeak NG swallowed {text!r} in {' '.join(sentence)!r}")
        words.append(PhoneSpan(text, own[0].start, own[-1].end))
    return words, phones
