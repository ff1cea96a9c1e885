"""The videos of a study: inspected, compared, and copied without traces of the method."""

import dataclasses
import fractions
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import av
import av.container
import numpy as np
import scipy.signal
from etils import epath

from data_pipelines.common import download, files
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.media import decode, video
from data_pipelines.media.sound import fit_length, resample
from data_pipelines.media.writer import VideoFile
from s2f_jax.provenance import marks

_RATE = 8000  # Hz at which two audio tracks are compared: the band that every codec keeps.
_MIN_CORRELATION = 0.9  # Of two audio tracks that differ in their codecs alone.
_MAX_OFFSET = 0.02  # Seconds: half a frame.
_MAX_LEVEL_DIFFERENCE = 1.0  # dB.
_SEARCH_RANGE = 0.25  # Seconds either way, to find the offset.
_SILENT = 1e-4  # RMS of full scale: the last bit of 16 is 3e-5.


@dataclasses.dataclass(frozen=True)
class Stimulus:
    """A video file that may become part of a study.

    Attributes:
      path: The file.
      sha256: SHA-256 digest of the file.
      frames: Number of frames.
      fps: Frames per second.
      seconds: Length.
      width: Width in pixels, as displayed: upright, with square pixels.
      height: Height in pixels, as displayed.
      sound: Mono float32 [S] at 8000 Hz.
      plays_everywhere: Whether every browser plays its streams, so that they are copied as they are.
      mark: Provenance that it states, if any.
      synthetic: Whether it says that it is synthetic.
    """

    path: epath.Path
    sha256: str
    frames: int
    fps: float
    seconds: float
    width: int
    height: int
    sound: np.ndarray
    plays_everywhere: bool
    mark: Mapping[str, Any] | None
    synthetic: bool

    def __str__(self) -> str:
        return f"{self.width}x{self.height} pixels, {self.seconds:.2f} s"


def inspect_stimulus(path: epath.Path) -> Stimulus:
    """Decodes all of a video.

    Args:
      path: A video file.

    Returns:
      The contents of the video.

    Raises:
      UserError: The video does not play to its end, or has no sound.
    """
    try:
        with decode.open_video(path) as container:
            pictures = video.VideoReader(container)
            timed = pictures.frames()
            last_time, first = next(timed, (0.0, None))
            if first is None:
                raise UserError(f"{path}: has no frames; give a video that can be played")
            for time, _ in timed:
                last_time = time
            height, width, _ = pictures.to_rgb(first).shape
            plays_everywhere = _plays_everywhere(container, first)
        samples, rate, _ = decode.decode_sound(path, pictures.origin)
    except BadClip as error:
        raise UserError(f"{path}: cannot be played ({error}); give a video that can") from error
    if not len(samples) or np.sqrt(np.mean(np.square(samples))) < _SILENT:
        what = "is silent" if len(samples) else "has no sound"
        raise UserError(f"{path}: {what}; give a video with sound")
    provenance = marks.read_provenance(path)
    return Stimulus(
        path=path,
        sha256=download.file_digest(pathlib.Path(path), "sha256"),
        frames=pictures.frame_count,
        fps=pictures.fps,
        seconds=last_time + 1 / pictures.fps,
        width=width,
        height=height,
        sound=resample(samples, rate, _RATE),
        plays_everywhere=plays_everywhere,
        mark=_mark(provenance),
        synthetic=provenance.synthetic,
    )


def check_matching(a: Stimulus, b: Stimulus) -> None:
    """Checks that two videos of one clip differ in the face alone.

    Args:
      a: One video.
      b: The other video.

    Raises:
      UserError: They differ in size, length or sound.
    """
    if (a.width, a.height) != (b.width, b.height):
        raise UserError(f"{a.path} has {a}, {b.path} has {b}: give both the same size")
    if abs(a.seconds - b.seconds) > 0.5 / max(a.fps, b.fps):
        raise UserError(f"{a.path} has {a}, {b.path} has {b}: cut both to the same length")
    correlation, offset = _cross_correlate(a.sound, b.sound)
    if correlation < _MIN_CORRELATION:
        raise UserError(
            f"{a.path} and {b.path} have different sound (correlation {correlation:.2f}, less than"
            f" {_MIN_CORRELATION}): give both the sound of the clip"
        )
    level = 10 * np.log10(np.mean(np.square(b.sound)) / np.mean(np.square(a.sound)))
    if abs(level) > _MAX_LEVEL_DIFFERENCE:
        raise UserError(
            f"the sound of {b.path} is {abs(level):.1f} dB {'louder' if level > 0 else 'quieter'} than"
            f" that of {a.path}: give both the same sound"
        )
    if abs(offset) > _MAX_OFFSET:
        raise UserError(
            f"the sound of {b.path} is {1000 * abs(offset):.0f} ms {'late' if offset > 0 else 'early'}"
            f" relative to that of {a.path}: give both the same sound"
        )


def copy_stimulus(stimulus: Stimulus, target: str | os.PathLike) -> None:
    """Writes an mp4 that every browser plays and whose tags say nothing.

    H.264 with AAC is copied bit for bit; all else is encoded as `generate` does. The same source gives
    the same file.

    Args:
      stimulus: The video.
      target: The mp4 to write.
    """
    if not stimulus.plays_everywhere:
        _encode(stimulus, target)
        return
    part = files.PartialFile(target)
    try:
        with (
            decode.open_video(stimulus.path) as source,
            files.explain_write_errors(target),
            av.open(str(part.path), "w", format="mp4", options={"movflags": "faststart"}) as out,
        ):
            streams = source.streams.video[0], video.select_stream(source.streams.audio)
            outputs = {s.index: out.add_stream_from_template(s) for s in streams if s is not None}
            for packet in source.demux([s for s in streams if s is not None]):
                if packet.dts is not None:  # Each stream ends with an empty packet.
                    packet.stream = outputs[packet.stream.index]
                    out.mux(packet)
        part.commit()
    finally:
        part.discard()


def freeze_stimulus(stimulus: Stimulus, target: str | os.PathLike) -> None:
    """Writes an mp4 of a video's first frame for its whole length, with its sound.

    Args:
      stimulus: The video.
      target: The mp4 to write.
    """
    _encode(stimulus, target, still=True)


def _encode(stimulus: Stimulus, target: str | os.PathLike, still: bool = False) -> None:
    fps = fractions.Fraction(stimulus.fps).limit_denominator(65535)
    with decode.open_video(stimulus.path) as container:
        pictures = video.VideoReader(container)
        frames = pictures.at_rate(stimulus.fps)
        first = pictures.to_rgb(next(frames))
        sound, rate, _ = decode.decode_sound(stimulus.path, pictures.origin)
        with VideoFile(target, stimulus.height, stimulus.width, fps, rate) as out:
            out.write_audio(fit_length(sound, round(stimulus.seconds * rate)))
            out.write_frame(first)
            for frame in frames:
                out.write_frame(first if still else pictures.to_rgb(frame))


def _plays_everywhere(container: av.container.InputContainer, frame: av.VideoFrame) -> bool:
    """Returns whether it is an mp4 that browsers play as it is, with one video stream."""
    sound = video.select_stream(container.streams.audio)
    pictures = container.streams.video
    return (
        "mp4" in container.format.name
        and len(pictures) == 1
        and pictures[0].codec_context.name == "h264"
        and frame.format.name == "yuv420p"
        and not frame.rotation
        and (pictures[0].sample_aspect_ratio or 1) == 1
        and sound is not None
        and sound.codec_context.name == "aac"
    )


def _cross_correlate(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Returns the largest correlation of two signals [S], and the delay of b in seconds there."""
    products = scipy.signal.correlate(b.astype(np.float64), a.astype(np.float64), method="fft")
    lags = scipy.signal.correlation_lags(len(b), len(a))
    near = np.abs(lags) <= _SEARCH_RANGE * _RATE
    best = int(np.argmax(np.where(near, products, -np.inf)))
    return float(products[best] / np.sqrt((a @ a) * (b @ b))), float(lags[best] / _RATE)


def _mark(provenance: marks.DetectedProvenance) -> dict[str, Any] | None:
    # Without file names, which may be those of persons.
    if provenance.facts is not None:
        return dict(provenance.facts)
    if provenance.sidecar is None:
        return None
    inputs = provenance.sidecar.get("inputs")
    mark = {k: v for k, v in provenance.sidecar.items() if k not in ("inputs", "video")}
    if isinstance(inputs, dict):
        mark["inputs"] = {
            name: {"sha256": facts.get("sha256")}
            for name, facts in inputs.items()
            if isinstance(facts, dict)
        }
    return mark
