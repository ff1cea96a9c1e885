"""One raw clip to one aligned example of the data contract (corpus.py)."""

import dataclasses
import io
import os
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.contract import CorpusConfig, TimedText
from data_pipelines.faces import alignment, tracking
from data_pipelines.media import decode, images, sound, video

VERSION = 2  # Of what align_clip does; a new one makes every clip again.
_MAX_SIDE = 720  # Pixels of the shorter side; a larger picture is shrunk before the face is found.
_MAX_OFF = 0.1  # Of the height, by which a stable point may be off its canonical place.
_MAX_MISSING = 0.5  # Seconds of both picture and sound, of those that the file's header declares.
_SMOOTHING = 7  # Frames, of the transform; the landmarks are kept unsmoothed, or blinks vanish.
# Of a zip, or of its member.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, KeyError, RuntimeError, NotImplementedError)


@dataclasses.dataclass(frozen=True)
class RawClip:
    """A clip as its corpus has it: a file, or a member of a zip."""

    id: str  # Unique in the corpus; it names files.
    speaker: str
    path: pathlib.Path
    stamp: str  # Changes when the content does.
    member: str = ""  # Of the zip at `path`; empty: the file itself.
    start: float = 0.0  # Seconds of the file, of a clip cut from a longer video;
    end: float | None = None  # None: to its end.
    frame_count: int | None = None  # What it has to have; None: any.
    transcript: str = ""
    words: tuple[TimedText, ...] = ()
    phones: tuple[TimedText, ...] = ()


@dataclasses.dataclass(frozen=True)
class AlignedClip:
    """What is made of a raw clip's picture and sound."""

    jpegs: list[bytes]
    landmarks: np.ndarray  # float32 [T, 68, 2], in pixels of the aligned frame.
    blink: np.ndarray  # float32 [T], 1 closed, NaN unknown.
    audio: np.ndarray  # int16 [T * audio_rate / fps].


def file_stamp(path: pathlib.Path) -> str:
    """Size and time of change: what tells a changed file without reading it."""
    stat = path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def files_below(folder: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    """The files of a suffix, in upper or lower case, in order; also in linked folders.

    Without hidden ones, such as those that a Mac adds (._x); with links that lead nowhere. Raises
    UserError where a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise UserError(
            f"Cannot read the folder {error.filename} ({error.strerror}); check its permissions."
        ) from error

    found, seen = [], set()
    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        if (real := os.path.realpath(root)) in seen:  # A link to a folder above it.
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (pathlib.Path(root, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() == suffix]
    return sorted(found)


def align_clip(raw: RawClip, form: CorpusConfig, find: Callable) -> AlignedClip:
    """Decodes, follows the face, aligns, resamples; `find` is a faces.FaceFinder.

    Frame k shows what the file shows k / form.fps seconds after the clip's start, which for a whole
    file is its first picture. Of its frames, only as many are held as steadying the face needs.

    Raises:
      BadClip: the clip is unfit, with the reason.
    """
    source = _source(raw)
    with decode.opened(source) as container:
        pictures = video.VideoReader(container)
        if not container.streams.audio:
            raise BadClip("no sound")
        tracked = tracking.follow(_images(pictures, raw, form), find)
        jpegs, landmarks, blink = [], [], []
        for face, steadied in tracking.steady(tracked, _SMOOTHING):
            frame, points = _align(face, steadied, len(jpegs), form)
            jpegs.append(images.encode_jpeg(frame))
            landmarks.append(points)
            blink.append(face.blink)
    if raw.frame_count is not None and pictures.count != raw.frame_count:
        raise BadClip(f"{pictures.count} frames instead of {raw.frame_count}")
    start, seconds = pictures.origin + raw.start, len(jpegs) / form.fps
    audio, rate = decode.decode_sound(source, start, start + seconds + _MAX_MISSING)
    if not audio.any():
        raise BadClip("silent")
    declared = pictures.seconds - raw.start if raw.end is None else 0.0
    ends_together = len(audio) < (seconds + _MAX_MISSING / 2) * rate
    if declared > seconds + _MAX_MISSING and ends_together:
        raise BadClip(f"breaks off after {seconds:.1f} of {declared:.1f} s")
    audio = audio[: round(seconds * rate)]
    audio = sound.resample(audio, rate, form.audio_rate)
    audio = sound.fit_length(audio, len(jpegs) * form.audio_rate // form.fps)
    return AlignedClip(
        jpegs=jpegs,
        landmarks=np.array(landmarks, np.float32),
        blink=np.array(blink, np.float32),
        audio=np.rint(audio * 32767).astype(np.int16),
    )


def example(raw: RawClip, aligned: AlignedClip, form: CorpusConfig) -> dict:
    """The two together, as corpus.features() has it."""
    return {
        "id": raw.id,
        "speaker": raw.speaker,
        "transcript": raw.transcript,
        "fps": form.fps,
        "words": [dataclasses.asdict(word) for word in raw.words],
        "phones": [dataclasses.asdict(phone) for phone in raw.phones],
        "blink": aligned.blink,
        "frames": aligned.jpegs,
        "landmarks": aligned.landmarks,
        "audio": aligned.audio,
        "audio_rate": form.audio_rate,
    }


def _source(raw: RawClip) -> pathlib.Path | io.BytesIO:
    """The clip's file, or its bytes out of a zip; what is wrong there is that clip's fault alone."""
    try:
        if raw.member:
            with zipfile.ZipFile(raw.path) as archive:
                return io.BytesIO(archive.read(raw.member))
        if raw.path.exists() and not raw.path.is_file():
            raise BadClip("not a file")
        raw.path.open("rb").close()
        return raw.path
    except _UNREADABLE as e:
        reason = e.strerror if isinstance(e, OSError) else e
        raise BadClip(f"cannot be read ({reason})") from e


def _images(pictures: video.VideoReader, raw: RawClip, form: CorpusConfig) -> Iterator[np.ndarray]:
    """The clip's frames at form.fps, uint8 [H, W, 3]; one that is shown twice is the same array."""
    too_long = f"longer than {form.max_seconds:g} s: cut it, or raise config.data.max_seconds"
    declared = pictures.seconds if raw.end is None else raw.end
    if declared - raw.start > form.max_seconds + 1:  # That of some headers is a guess.
        raise BadClip(too_long)
    frame, image = None, np.empty(0, np.uint8)
    for k, shown in enumerate(pictures.at_rate(form.fps, raw.start, raw.end)):
        if k >= round(form.max_seconds * form.fps):
            raise BadClip(too_long)
        if shown is not frame:
            frame, image = shown, pictures.rgb(shown, _MAX_SIDE)
        yield image


def _align(
    face: tracking.Tracked, steadied: np.ndarray, t: int, form: CorpusConfig
) -> tuple[np.ndarray, np.ndarray]:
    """-> uint8 [height, width, 3] and the landmarks in it, by the steadied face's transform."""
    height, width = form.height, form.width
    transform = alignment.face_transform(steadied, height, width)
    points = alignment.transform_points(transform, face.landmarks)
    off = np.abs(points[list(alignment.STABLE)] - alignment.canonical(height, width)).max()
    if off > _MAX_OFF * height:  # Of GRID's good clips, none is off by 3 % of the height.
        raise BadClip(f"the face jumps at frame {t}")
    return alignment.align(face.image, transform, height, width), points
