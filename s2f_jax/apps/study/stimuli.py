"""The videos of a study: looked at once, held against each other, copied without a trace of whose
they are.
"""

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

_RATE = 8000  # Hz at which two sounds are compared: what every codec keeps.
_ALIKE = 0.9  # Correlation of two sounds that are the same but for their codecs.
_APART = 0.02  # Seconds by which they may start apart: half a frame.
_LOUDER = 1.0  # dB that one may be above the other.
_SEARCHED = 0.25  # Seconds either way, to say how far apart they are.
_SILENT = 1e-4  # RMS of full scale: the last bit of 16 is 3e-5.


@dataclasses.dataclass(frozen=True)
class Stimulus:
    """What one video is like."""

    path: epath.Path
    sha256: str
    frames: int
    fps: float
    seconds: float
    width: int  # As it is shown: upright, pixels square.
    height: int
    sound: np.ndarray  # float32 [S] at _RATE.
    copied: bool  # Its streams are taken as they are, since every browser plays them.
    mark: Mapping[str, Any] | None  # What it says of who made it.
    synthetic: bool  # Whether it says that it is.

    def __str__(self) -> str:
        return f"{self.width}x{self.height} pixels, {self.seconds:.2f} s"


def inspect_stimulus(path: epath.Path) -> Stimulus:
    """Decodes all of a video.

    Raises:
      UserError: it does not play to its end, or has no sound.
    """
    try:
        with decode.open_video(path) as container:
            pictures = video.VideoReader(container)
            timed = pictures.frames()
            last, first = next(timed, (0.0, None))
            if first is None:
                raise BadClip("no frames")
            for time, _ in timed:
                last = time
            height, width, _ = pictures.to_rgb(first).shape
            copied = _plays_everywhere(container, first)
        samples, rate = decode.decode_sound(path, pictures.origin)
    except BadClip as error:
        raise UserError(f"{path} does not play ({error}): give one that does") from error
    if not len(samples) or np.sqrt(np.mean(np.square(samples))) < _SILENT:
        what = "is silent" if len(samples) else "has no sound"
        raise UserError(f"{path} {what}, and people are to hear it: give one with sound")
    said = marks.read_provenance(path)
    return Stimulus(
        path=path,
        sha256=download.file_digest(pathlib.Path(path), "sha256"),
        frames=pictures.frame_count,
        fps=pictures.fps,
        seconds=last + 1 / pictures.fps,
        width=width,
        height=height,
        sound=resample(samples, rate, _RATE),
        copied=copied,
        mark=_mark(said),
        synthetic=said.synthetic,
    )


def check_alike(a: Stimulus, b: Stimulus) -> None:
    """Two videos of one clip differ in the face alone.

    Raises:
      UserError: they differ in size, length or sound.
    """
    if (a.width, a.height) != (b.width, b.height):
        raise UserError(f"{a.path} has {a}, {b.path} {b}: give both one size")
    if abs(a.seconds - b.seconds) > 0.5 / max(a.fps, b.fps):
        raise UserError(f"{a.path} has {a}, {b.path} {b}: cut both to one length")
    correlation, apart = _alikeness(a.sound, b.sound)
    if correlation < _ALIKE:
        raise UserError(
            f"{a.path} and {b.path} have not the same sound (correlation {correlation:.2f}, less than"
            f" {_ALIKE}): give both that of the clip"
        )
    louder = 10 * np.log10(np.mean(np.square(b.sound)) / np.mean(np.square(a.sound)))
    if abs(louder) > _LOUDER:
        raise UserError(
            f"the sound of {b.path} is {abs(louder):.1f} dB {'louder' if louder > 0 else 'softer'} than"
            f" that of {a.path}: give both the same"
        )
    if abs(apart) > _APART:
        raise UserError(
            f"the sound of {b.path} is {1000 * abs(apart):.0f} ms {'late' if apart > 0 else 'early'}"
            f" against that of {a.path}: give both the same"
        )


def copy(of: Stimulus, target: str | os.PathLike) -> None:
    """An mp4 that every browser plays, whose tags say nothing; the same source gives the same file.

    H.264 with AAC is taken as it is, bit for bit, and all else encoded as `generate` does.
    """
    if not of.copied:
        _encode(of, target)
        return
    part = files.PartialFile(target)
    try:
        with (
            decode.open_video(of.path) as source,
            files.explain_write_errors(target),
            av.open(str(part.path), "w", format="mp4", options={"movflags": "faststart"}) as out,
        ):
            streams = source.streams.video[0], video.select_stream(source.streams.audio)
            made = {s.index: out.add_stream_from_template(s) for s in streams if s is not None}
            for packet in source.demux([s for s in streams if s is not None]):
                if packet.dts is not None:  # The last of each stream is empty.
                    packet.stream = made[packet.stream.index]
                    out.mux(packet)
        part.commit()
    finally:
        part.discard()


def freeze(of: Stimulus, target: str | os.PathLike) -> None:
    """Its first frame for as long as it lasts, with its sound."""
    _encode(of, target, still=True)


def _encode(of: Stimulus, target: str | os.PathLike, still: bool = False) -> None:
    fps = fractions.Fraction(of.fps).limit_denominator(65535)
    with decode.open_video(of.path) as container:
        pictures = video.VideoReader(container)
        frames = pictures.at_rate(of.fps)
        first = pictures.to_rgb(next(frames))
        sound, rate = decode.decode_sound(of.path, pictures.origin)
        with VideoFile(target, of.height, of.width, fps, rate) as out:
            out.write_audio(fit_length(sound, round(of.seconds * rate)))
            out.write_frame(first)
            for frame in frames:
                out.write_frame(first if still else pictures.to_rgb(frame))


def _plays_everywhere(container: av.container.InputContainer, frame: av.VideoFrame) -> bool:
    """Whether it is an mp4 that browsers show as it is, with one picture in it."""
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


def _alikeness(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The largest correlation of two sounds [S], and by how many seconds b is late then."""
    products = scipy.signal.correlate(b.astype(np.float64), a.astype(np.float64), method="fft")
    lags = scipy.signal.correlation_lags(len(b), len(a))
    near = np.abs(lags) <= _SEARCHED * _RATE
    best = int(np.argmax(np.where(near, products, -np.inf)))
    return float(products[best] / np.sqrt((a @ a) * (b @ b))), float(lags[best] / _RATE)


def _mark(said: marks.DetectedProvenance) -> dict[str, Any] | None:
    """Without the names of files, which may be those of persons."""
    if said.facts is not None:
        return dict(said.facts)
    if said.sidecar is None:
        return None
    inputs = said.sidecar.get("inputs")
    kept = {k: v for k, v in said.sidecar.items() if k not in ("inputs", "video")}
    if isinstance(inputs, dict):
        sums = {w: of.get("sha256") for w, of in inputs.items() if isinstance(of, dict)}
        kept["inputs"] = {what: {"sha256": digest} for what, digest in sums.items()}
    return kept
