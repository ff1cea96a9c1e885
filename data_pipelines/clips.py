"""One raw clip to one aligned example of the data contract (corpus.py)."""

import dataclasses
import io
import os
import pathlib
import zipfile
from collections.abc import Callable

import numpy as np

from data_pipelines import faces, media
from data_pipelines.corpus import CorpusConfig
from data_pipelines.errors import BadClip, UserError

VERSION = 1  # Of what align_clip does; a new one makes every clip again.
_MAX_HEIGHT = 720  # Pixels; higher video is shrunk first, which keeps a process below 1 GB.
_MAX_FACELESS = 0.1  # Of a clip's frames; and no gap longer than:
_MAX_GAP = 5  # Frames.
_MAX_OFF = 0.1  # Of the height, by which a stable point may be off its canonical place.
_SMOOTHING = 7  # Frames, of the transform; the landmarks are kept unsmoothed, or blinks vanish.


@dataclasses.dataclass(frozen=True)
class Span:
    """A word or a phone."""

    text: str
    start: float  # Seconds.
    end: float


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
    words: tuple[Span, ...] = ()
    phones: tuple[Span, ...] = ()


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
    """Decodes, finds the face, aligns, resamples; `find` is a faces.FaceFinder.

    Raises:
      BadClip: the clip is unfit, with the reason.
    """
    clip = _decode(raw)
    if raw.frame_count is not None and len(clip.frames) != raw.frame_count:
        raise BadClip(f"{len(clip.frames)} frames instead of {raw.frame_count}")
    if not clip.audio.any():
        raise BadClip("silent" if clip.audio.size else "no sound")
    frames = clip.frames[nearest_frames(len(clip.frames), clip.fps, form.fps)]
    landmarks, blink = find_landmarks(frames, find)
    height, width = form.height, form.width
    transforms = [
        faces.face_transform(points, height, width)
        for points in faces.smooth(landmarks, _SMOOTHING)
    ]
    pairs = zip(transforms, landmarks, strict=True)
    moved = np.array([faces.transform_points(*pair) for pair in pairs], np.float32)
    off = np.abs(moved[:, list(faces.STABLE)] - faces.canonical(height, width)).max(axis=(1, 2))
    if off.max() > _MAX_OFF * height:  # Of GRID's good clips, none is off by 3 % of the height.
        raise BadClip(f"the face jumps at frame {np.argmax(off)}")
    aligned = (
        faces.align(frame, t, height, width) for frame, t in zip(frames, transforms, strict=True)
    )
    audio = media.resample(clip.audio, clip.audio_rate, form.audio_rate)
    audio = media.fit_length(audio, len(frames) * form.audio_rate // form.fps)
    return AlignedClip(
        jpegs=[media.encode_jpeg(frame) for frame in aligned],
        landmarks=moved,
        blink=blink,
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


def nearest_frames(count: int, fps: float, new_fps: float) -> np.ndarray:
    """Which of `count` frames to show at another rate, for the same time: [T] indices."""
    if abs(fps / new_fps - 1) < 1e-3:  # Rates such as 24.999 are rounding in the file.
        return np.arange(count)
    t = np.arange(max(1, round(count * new_fps / fps)))
    return np.minimum(np.rint(t * fps / new_fps).astype(int), count - 1)


def find_landmarks(frames: np.ndarray, find: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Frames [T, H, W, 3] -> landmarks float32 [T, 68, 2], blink float32 [T].

    Frames without a face get landmarks between their neighbours', and blink NaN. Raises BadClip
    where these are too many.
    """
    landmarks = np.full((len(frames), 68, 2), np.nan, np.float32)
    blink = np.full(len(frames), np.nan, np.float32)
    for t, frame in enumerate(frames):
        for face in find(frame)[:1]:
            landmarks[t], blink[t] = face.landmarks, face.blink
    seen = ~np.isnan(landmarks[:, 0, 0])
    faceless = int(np.sum(~seen))
    gap = max(len(run) for run in "".join(" " if s else "x" for s in seen).split(" "))
    if faceless > _MAX_FACELESS * len(frames) or gap > _MAX_GAP:
        raise BadClip(f"no face in {faceless} of {len(frames)} frames, {gap} of them in a row")
    if faceless:
        t, known = np.arange(len(frames)), np.flatnonzero(seen)
        flat = landmarks.reshape(len(frames), -1)
        filled = [np.interp(t, known, column[known]) for column in flat.T]
        landmarks = np.array(filled, np.float32).T.reshape(landmarks.shape)
    return landmarks, blink


def _decode(raw: RawClip) -> media.Clip:
    """The clip's frames and sound; what is wrong with one file is that clip's fault alone."""
    try:
        if not raw.member:
            return media.decode_clip(raw.path, _MAX_HEIGHT)
        with zipfile.ZipFile(raw.path) as archive:
            return media.decode_clip(io.BytesIO(archive.read(raw.member)), _MAX_HEIGHT)
    except (UserError, zipfile.BadZipFile, OSError) as e:
        raise BadClip(f"cannot be read ({e})") from e
