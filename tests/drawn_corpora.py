"""Writes small corpora in the layout and the codecs of the real ones: drawn heads that speak.

The heads and voices are the demo corpus's, enlarged until a landmark model finds them.
"""

import dataclasses
import fractions
import pathlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import av
import cv2
import numpy as np

from data_pipelines.contract import TimedText
from data_pipelines.crema_d.sentences import SENTENCES
from data_pipelines.demo import draw, face, motion, speech
from data_pipelines.media.sound import fit_length, resample

NTSC = fractions.Fraction(30000, 1001)  # 29.97 frames/s.
_ZOOM = 4  # Times 128x96, where the picture is large enough.
_PAUSE = 0.25  # Seconds before and after speech.
# Phones that the demo's sentences do not have, by the nearest that it draws.
_DRAWN_AS: dict[str, str] = {
    **{"ɔɪ": "oə", "eə": "e", "əl": "l", "ɪɹ": "ɪ", "ʊɹ": "ʊ", "ɛɹ": "ɛ"},
    **{"ᵻ": "ɪ", "ɔ": "ɔː", "ɔə": "oə", "aa": "a"},
}
# fmt: off
_ARPABET = {
    "iː": "iy", "i": "iy", "ɪ": "ih", "ɛ": "eh", "e": "eh", "a": "ae", "æ": "ae", "ɑː": "aa",
    "ʌ": "ah", "ɐ": "ah", "ə": "ax", "ɚ": "axr", "ɜː": "er", "ɔː": "ao", "ɒ": "aa", "ʊ": "uh",
    "uː": "uw", "eɪ": "ey", "aɪ": "ay", "aʊ": "aw", "əʊ": "ow", "oʊ": "ow", "iə": "ih", "oə": "ao",
    "ɑə": "aa", "ɔɪ": "oy", "eə": "eh", "əl": "el", "w": "w", "ɹ": "r", "j": "y", "l": "l",
    "θ": "th", "ð": "dh", "ʃ": "sh", "ʒ": "zh", "tʃ": "ch", "dʒ": "jh", "f": "f", "v": "v",
    "p": "p", "b": "b", "m": "m", "s": "s", "z": "z", "t": "t", "d": "d", "n": "n", "t̪": "t",
    "ɾ": "dx", "k": "k", "ɡ": "g", "ŋ": "ng", "h": "hh", "ɔːɹ": "ao", "ɑːɹ": "aa", "oːɹ": "ao",
    "ɪɹ": "ih", "ʊɹ": "uh", "ɛɹ": "eh", "ᵻ": "ix", "ɔ": "ao", "ɔə": "ao", "aa": "aa",
}
# fmt: on
_TIMIT = {
    "sa1": "she had your dark suit in greasy wash water all year",
    "sa2": "don't ask me to carry an oily rag like that",
}


@dataclasses.dataclass(frozen=True)
class Recording:
    """The content of one video."""

    heads: np.ndarray  # uint8 [T, 128, 96, 3], RGB.
    fps: fractions.Fraction
    audio: np.ndarray  # float32 [S] at speech.RATE.
    words: list[TimedText]
    phones: list[TimedText]  # In IPA.


class Actor:
    """A head and a voice, the same for the same name."""

    def __init__(self, name: str):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        drawn_face = dataclasses.replace(face.random_face(self.rng), glasses=0.0)
        self.painter = draw.FacePainter(drawn_face, 128, 96, int(self.rng.integers(2**31)))
        voice = speech.VOICES[self.rng.integers(len(speech.VOICES))]
        self.voice = speech.Voice(voice, pitch=int(self.rng.integers(30, 71)))

    def say(
        self,
        sentences: Sequence[Sequence[str]],
        fps: fractions.Fraction,
        seconds: float | None = None,
        pause: float = _PAUSE,
    ) -> Recording:
        """Speaks sentences with pauses around them."""
        parts, words, phones, offset = [np.zeros(round(pause * speech.RATE))], [], [], pause
        for sentence in sentences:
            samples, own_words, own_phones = speech.speak(tuple(sentence), self.voice)
            words += [TimedText(w.text, w.start + offset, w.end + offset) for w in own_words]
            phones += [TimedText(p.text, p.start + offset, p.end + offset) for p in own_phones]
            parts += [samples / 32768, np.zeros(round(pause * speech.RATE))]
            offset = sum(map(len, parts)) / speech.RATE
        count = round((seconds or offset) * fps)
        audio = fit_length(np.concatenate(parts), round(count / fps * speech.RATE))
        audio += self.rng.normal(0, 3e-4, len(audio))  # Background noise, as in any room.
        drawn = [dataclasses.replace(p, text=_DRAWN_AS.get(p.text, p.text)) for p in phones]
        face_motion = motion.random_motion(self.rng, drawn, count, float(fps), amplitude=1.0)
        heads, _ = self.painter(face_motion)
        return Recording(heads, fps, audio.astype(np.float32), words, phones)


def tcd_timit(folder: pathlib.Path, speakers: Sequence[str], clips_per_speaker: int) -> None:
    """volunteers/01M/Clips/straightcam/sa1.mp4 and so on, with labels of phones and of words.

    1920x1080 H.264 at 29.97 frames/s, AAC at 48 kHz, 2 to 6 s.
    """
    names = [*_TIMIT, *(f"si{i}" for i in range(1000, 1000 + clips_per_speaker))]
    labels: dict[str, list[str]] = {}
    for speaker in speakers:
        group = "lipspeakers" if speaker.startswith("Lipspkr") else "volunteers"
        actor = Actor(speaker)
        for name in names[:clips_per_speaker]:
            text = _TIMIT.get(name) or " ".join(speech.random_sentence(actor.rng))
            recording = actor.say([text.split()], NTSC)
            stem = f"{group}/{speaker}/Clips/straightcam/{name}"
            write(folder / f"{stem}.mp4", recording, (1080, 1920), "libx264", "aac", 48000)
            end = len(recording.heads) / recording.fps
            phones = [dataclasses.replace(p, text=_ARPABET[p.text]) for p in recording.phones]
            for kind, spans in (("labelfiles", phones), ("words", recording.words)):
                block = htk(f"Q:/Videos/TCD-TIMIT/{stem}.rec", spans, float(end))
                labels.setdefault(f"{group[:-1]}_{kind}.mlf", []).append(block)
    for name, blocks in labels.items():
        (folder / name).write_text("#!MLF!#\n" + "".join(blocks))


def htk(path: str, spans: Sequence[TimedText], end: float) -> str:
    """A block of an .mlf, with silence at both ends."""
    silence = TimedText("sil", 0, spans[0].start), TimedText("sil", spans[-1].end, end)
    rows = [silence[0], *spans, silence[1]]
    lines = [f"{round(1e7 * s.start)} {round(1e7 * s.end)} {s.text}\n" for s in rows]
    return f'"{path}"\n{"".join(lines)}.\n'


def crema_d(folder: pathlib.Path, speakers: Sequence[str], clips_per_speaker: int) -> None:
    """VideoFlash/1001_DFA_ANG_XX.flv and so on: 480x360 FLV1 at 29.97 frames/s, MP3."""
    for speaker in speakers:
        actor = Actor(speaker)
        for code, text in list(SENTENCES.items())[:clips_per_speaker]:
            recording = actor.say([text.lower().split()], NTSC)
            path = folder / "VideoFlash" / f"{speaker}_{code}_NEU_XX.flv"
            write(path, recording, (360, 480), "flv1", "libmp3lame", 44100)


def grid(folder: pathlib.Path, speakers: Sequence[str], clips_per_speaker: int) -> None:
    """s1/bbaf2n.mpg and alignments/s1/bbaf2n.align: 360x288 MPEG-1, 25 frames/s, MP2, 3 s."""
    for speaker in speakers:
        actor = Actor(speaker)
        actor.voice = dataclasses.replace(actor.voice, rate=170)  # Six words in three seconds.
        aligns = folder / "alignments" / speaker
        aligns.mkdir(parents=True, exist_ok=True)
        for _ in range(clips_per_speaker):
            sentence = speech.random_sentence(actor.rng)
            recording = actor.say([sentence], fractions.Fraction(25), seconds=3)
            name = speech.sentence_code(sentence)
            write(
                folder / speaker / f"{name}.mpg", recording, (288, 360), "mpeg1video", "mp2", 44100
            )
            rows = [
                f"{round(25000 * w.start)} {round(25000 * w.end)} {w.text}" for w in recording.words
            ]
            (aligns / f"{name}.align").write_text("\n".join(rows) + "\n")


def own_videos(
    folder: pathlib.Path,
    speakers: Sequence[str],
    videos_per_speaker: int,
    sentences_per_video: int = 4,
    pause: float = 1.5,
) -> Mapping[pathlib.Path, list[tuple[float, float]]]:
    """speaker/day1/take0.mp4 and so on, 640x512 at 30 frames/s, many sentences with long pauses.

    Returns where speech starts and ends, in seconds, for each video.
    """
    spoken = {}
    for speaker in speakers:
        actor = Actor(speaker)
        for index in range(videos_per_speaker):
            sentences = [speech.random_sentence(actor.rng) for _ in range(sentences_per_video)]
            recording = actor.say(sentences, fractions.Fraction(30), pause=pause)
            path = folder / speaker / "day1" / f"take{index}.mp4"
            write(path, recording, (512, 640), "libx264", "aac", 48000)
            words, n = recording.words, len(sentences[0])
            firsts = range(0, len(words), n)
            spoken[path] = [(words[i].start, words[i + n - 1].end) for i in firsts]
    return spoken


def write(
    path: pathlib.Path,
    recording: Recording,
    size: tuple[int, int],
    video: str,
    audio: str,
    rate: int,
) -> None:
    """Writes a recording as a video of size (H, W); the suffix decides the container."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mpeg" if path.suffix == ".mpg" else None) as container:
        options = {"preset": "ultrafast", "crf": "18"} if video == "libx264" else {}
        picture: Any = container.add_stream(video, rate=recording.fps, options=options)
        picture.height, picture.width = size
        picture.pix_fmt = "yuv420p"
        if video != "libx264":
            picture.bit_rate = 2_000_000
        sound: Any = container.add_stream(audio, rate=rate, layout="mono")
        for head in recording.heads:
            frame = av.VideoFrame.from_ndarray(_enlarged(head, *size), format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode(None))
        samples = resample(recording.audio, speech.RATE, rate)
        pcm = np.rint(32767 * np.clip(samples, -1, 1)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def _enlarged(head: np.ndarray, height: int, width: int) -> np.ndarray:
    """A head enlarged, at the bottom and in the middle of a larger picture."""
    zoom = min(_ZOOM, height // 128)
    head = cv2.resize(head, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    left = (width - head.shape[1]) // 2
    right, above = width - head.shape[1] - left, height - head.shape[0]
    top = head[0, 0].tolist()  # Of the backdrop.
    head = cv2.copyMakeBorder(head, above, 0, 0, 0, cv2.BORDER_CONSTANT, value=top)
    return cv2.copyMakeBorder(head, 0, 0, left, right, cv2.BORDER_REPLICATE)
