"""Turns one raw clip into one aligned example of the data contract (contract.py)."""

import dataclasses
import io
import os
import pathlib
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.contract import CorpusConfig, TimedText
from data_pipelines.faces import alignment, tracking
from data_pipelines.media import decode, images, sound, video

VERSION = 3  # Of what align_clip does; a new one aligns every clip again.
_MAX_SIDE = 720  # Pixels of the shorter side; larger frames are shrunk before face detection.
_MAX_RESIDUAL = 0.1  # Of the height, by which a stable point may be off its canonical position.
_MAX_MISSING = 0.5  # Seconds of both video and audio, of those that the file's header declares.
_SMOOTHING = 7  # Frames, for the transform alone; smoothed landmarks would lose blinks.
# What an unreadable zip, or member of one, raises.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, KeyError, RuntimeError, NotImplementedError)


@dataclasses.dataclass(frozen=True)
class RawClip:
    """A clip as its corpus has it: a file or a member of a zip, or a part of either.

    Attributes:
      id: Unique in the corpus; file names contain it.
      speaker: Name of the speaker.
      path: The file, or the zip.
      stamp: Changes when the content does (file_stamp).
      member: Name in the zip at `path`; empty: the file itself.
      start: Seconds from the file's start, of a clip cut from a longer video.
      end: Seconds from the file's start; None: the file's end.
      frame_count: Number of frames that the file must have; None: any.
      transcript: What is said; may be empty.
      words: Words with their times; may be empty.
      phones: Phones with their times; may be empty.
    """

    id: str
    speaker: str
    path: pathlib.Path
    stamp: str
    member: str = ""
    start: float = 0.0
    end: float | None = None
    frame_count: int | None = None
    transcript: str = ""
    words: tuple[TimedText, ...] = ()
    phones: tuple[TimedText, ...] = ()


@dataclasses.dataclass(frozen=True)
class AlignedClip:
    """Aligned frames, landmarks and sound of a clip.

    Attributes:
      jpegs: T frames, encoded.
      landmarks: float32 [T, 68, 2], in pixels of the aligned frame.
      blink: float32 [T], 1 closed, NaN where unknown.
      audio: int16 [T * audio_rate / fps], mono.
      filled: Seconds of the sound that are missing in the file, and silent here.
    """

    jpegs: list[bytes]
    landmarks: np.ndarray
    blink: np.ndarray
    audio: np.ndarray
    filled: float = 0.0


def file_stamp(path: pathlib.Path) -> str:
    """Identifies a file's content without reading it.

    Args:
      path: The file.

    Returns:
      The file's size and time of modification.
    """
    stat = path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def find_files(folder: pathlib.Path, *suffixes: str) -> list[pathlib.Path]:
    """Lists the files with one of some suffixes below a folder, linked folders included.

    Hidden files, such as those that macOS adds (._x), are left out; dangling links are not.

    Args:
      folder: Folder at which the search begins.
      *suffixes: File suffixes in lower case, with their dots; files may have them in upper case.

    Returns:
      The files, sorted.

    Raises:
      UserError: A folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise UserError(
            f"Cannot read the folder {error.filename} ({error.strerror}); check its permissions."
        ) from error

    found, visited = [], set()
    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        if (real := os.path.realpath(root)) in visited:  # A link to a folder above it.
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (pathlib.Path(root, name) for name in names if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in suffixes]
    return sorted(found)


def align_clip(clip: RawClip, config: CorpusConfig, detect: tracking.Detector) -> AlignedClip:
    """Decodes a clip, tracks the face, aligns it and resamples frames and sound.

    Frame k shows what the file shows k / config.fps seconds after the clip's start, which for a
    whole file is its first frame. Only as many frames are held as smoothing needs.

    Args:
      clip: The raw clip.
      config: Format of the examples.
      detect: A landmarks.FaceFinder.

    Returns:
      The aligned clip.

    Raises:
      BadClip: The clip is unfit, with the reason.
    """
    source = _source(clip)
    with decode.open_video(source) as container:
        reader = video.VideoReader(container)
        if not container.streams.audio:
            raise BadClip("no sound")
        tracked = tracking.track_face(_images(reader, clip, config), detect)
        jpegs, landmarks, blink = [], [], []
        for face, smoothed in tracking.smooth_landmarks(tracked, _SMOOTHING):
            frame, points = _align(face, smoothed, len(jpegs), config)
            jpegs.append(images.encode_jpeg(frame))
            landmarks.append(points)
            blink.append(face.blink)
    if clip.frame_count is not None and reader.frame_count != clip.frame_count:
        raise BadClip(f"{reader.frame_count} frames instead of {clip.frame_count}")
    audio, filled = _audio(source, reader, clip, config, len(jpegs))
    return AlignedClip(
        jpegs=jpegs,
        landmarks=np.array(landmarks, np.float32),
        blink=np.array(blink, np.float32),
        audio=audio,
        filled=filled,
    )


def make_example(clip: RawClip, aligned: AlignedClip, config: CorpusConfig) -> dict[str, Any]:
    """Combines a clip's labels with its aligned frames and sound.

    Args:
      clip: The raw clip.
      aligned: What align_clip made of it.
      config: Format of the examples.

    Returns:
      An example, with the keys of contract.features().
    """
    return {
        "id": clip.id,
        "speaker": clip.speaker,
        "transcript": clip.transcript,
        "fps": config.fps,
        "words": [dataclasses.asdict(word) for word in clip.words],
        "phones": [dataclasses.asdict(phone) for phone in clip.phones],
        "blink": aligned.blink,
        "frames": aligned.jpegs,
        "landmarks": aligned.landmarks,
        "audio": aligned.audio,
        "audio_rate": config.audio_rate,
    }


def _source(clip: RawClip) -> pathlib.Path | io.BytesIO:
    # The clip's file, or its bytes out of a zip; an error there concerns that clip alone.
    try:
        if clip.member:
            with zipfile.ZipFile(clip.path) as archive:
                return io.BytesIO(archive.read(clip.member))
        if clip.path.exists() and not clip.path.is_file():
            raise BadClip("not a file")
        clip.path.open("rb").close()
        return clip.path
    except _UNREADABLE as e:
        reason = e.strerror if isinstance(e, OSError) else e
        raise BadClip(f"cannot be read ({reason})") from e


def _images(reader: video.VideoReader, clip: RawClip, config: CorpusConfig) -> Iterator[np.ndarray]:
    # Frames at config.fps, uint8 [H, W, 3]; one that is shown twice is the same array.
    too_long = f"longer than {config.max_seconds:g} s: cut it, or raise config.data.max_seconds"
    declared = reader.seconds if clip.end is None else clip.end
    if declared - clip.start > config.max_seconds + 1:  # Some headers give an estimate.
        raise BadClip(too_long)
    previous, image = None, np.empty(0, np.uint8)
    for k, frame in enumerate(reader.at_rate(config.fps, clip.start, clip.end)):
        if k >= round(config.max_seconds * config.fps):
            raise BadClip(too_long)
        if frame is not previous:
            previous, image = frame, reader.to_rgb(frame, _MAX_SIDE)
        yield image


def _align(
    face: tracking.TrackedFace, smoothed: np.ndarray, t: int, config: CorpusConfig
) -> tuple[np.ndarray, np.ndarray]:
    # The frame, uint8 [height, width, 3], and the landmarks in it.
    height, width = config.height, config.width
    transform = alignment.face_transform(smoothed, height, width)
    points = alignment.transform_points(transform, face.landmarks)
    stable = points[list(alignment.STABLE)]
    residual = np.abs(stable - alignment.canonical_points(height, width)).max()
    if residual > _MAX_RESIDUAL * height:  # GRID's good clips stay under 3 % of the height.
        raise BadClip(f"the face jumps at frame {t}")
    return alignment.align(face.image, transform, height, width), points


def _audio(
    source: pathlib.Path | io.BytesIO,
    reader: video.VideoReader,
    clip: RawClip,
    config: CorpusConfig,
    frames: int,
) -> tuple[np.ndarray, float]:
    # The sound of so many frames, int16 [frames * audio_rate / fps], and the seconds that it lacks.
    start, seconds = reader.origin + clip.start, frames / config.fps
    audio, rate, losses = decode.decode_sound(source, start, start + seconds + _MAX_MISSING)
    if not audio.any():
        raise BadClip("silent")
    declared = reader.seconds - clip.start if clip.end is None else 0.0
    ends_together = len(audio) < (seconds + _MAX_MISSING / 2) * rate
    if declared > seconds + _MAX_MISSING and ends_together:
        raise BadClip(f"breaks off after {seconds:.1f} of {declared:.1f} s")
    filled = losses.filled(seconds) + max(seconds - len(audio) / rate, 0.0)
    if filled > config.max_filled * seconds:
        limit = "more than config.data.max_filled allows"
        raise BadClip(f"{filled:.1f} of {seconds:.1f} s of its sound are missing, {limit}")
    audio = sound.remove_offset(audio[: round(seconds * rate)])
    audio = sound.resample(audio, rate, config.audio_rate)
    audio = sound.fit_length(audio, frames * config.audio_rate // config.fps)
    return np.rint(audio * 32767).astype(np.int16), filled
