"""What `doctor` looks at when it is given a checkpoint, a picture or a sound."""

import dataclasses
import pathlib
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import av
import av.error
import jax
import numpy as np

from data_pipelines.common import files
from data_pipelines.common.download import local_model
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.faces import alignment, measures, overlay, portrait_quality
from data_pipelines.faces import landmarks as face_landmarks
from data_pipelines.media import decode, images, video
from data_pipelines.media.sound import check_rate
from data_pipelines.quality import clip_checks
from s2f_jax.diagnostics.findings import OK, WARNING, Finding
from s2f_jax.provenance.marks import provenance_record, read_provenance

if TYPE_CHECKING:
    from s2f_jax.inference.animator import Animator

_SIZE = (128, 96)  # Height and width of the model, where no checkpoint says it,
_RATE, _FPS = 16000, 25  # and its rates.
_MEASURED = 600.0  # Seconds of a sound that are measured; an hour would take gigabytes.
_LEAST_FRAMES = 25  # Of a sound, or its loud and quiet parts say nothing.
_ROUNDS = 3  # Chunks that are timed.
_CURES = {  # Of what inspection.MEASURES limits.
    "level": "make it louder",
    "dynamics": "take out the noise or music behind the speech",
    "clipped": "record it again with less gain",
    "silence": "cut the silence away",
    "dc": "take the offset out, e.g. by a high-pass filter of 20 Hz",
}


@dataclasses.dataclass
class Inputs:
    """What is known by now of what was given; examined in the order of the methods."""

    output: pathlib.Path  # The folder for pictures.
    animator: "Animator | None" = None
    still: np.ndarray | None = None  # uint8 [H, W, 3], as the model takes it.
    seconds: float | None = None  # Of sound.

    @property
    def size(self) -> tuple[int, int]:
        return self.animator.size if self.animator else _SIZE

    def examine_checkpoint(self, path: str) -> Iterator[Finding]:
        """Restores a run's checkpoint or a bundle, by its checksums."""
        from s2f_jax.inference.animator import Animator

        started = time.perf_counter()
        animator = Animator.load(path)
        seconds = time.perf_counter() - started
        made = provenance_record(animator.origin, 0, {})
        parameters = sum(leaf.size for leaf in jax.tree.leaves(animator.painter.weights))
        values = {
            **made.model,
            "height": animator.size[0],
            "width": animator.size[1],
            "audio_rate": animator.rate,
            "fps": animator.fps,
            "parameters": parameters,
            "load_s": seconds,
        }
        self.animator = animator
        kept = f", exported as {kind}" if (kind := made.model.get("weights")) else ""
        yield Finding(
            OK,
            "checkpoint",
            f"{made.model['run']}, step {made.model['step']}{kept} is whole"
            f" (sum {made.model['sum'][:12]}): frames of"
            f" {animator.size[1]}x{animator.size[0]} at {animator.fps:g} a second from sound of"
            f" {animator.rate} Hz, {parameters / 1e6:.1f} M weights, loaded in {seconds:.1f} s",
            values,
        )

    def examine_image(self, path: str) -> Iterator[Finding]:
        """Finds the face, judges it, and draws what was found."""
        pixels = images.read_image(path)
        size = f"{pixels.shape[1]}x{pixels.shape[0]} pixels"
        if local_model(face_landmarks.MODEL) is None:  # Nothing is fetched here.
            raise UserError(f"{path} has {size}; no face is looked for: see faces above")
        found = face_landmarks.find_faces(pixels)
        if not found:
            raise UserError(
                f"{path} has {size} and no face that can be found: give a frontal photograph, or"
                " `generate` --aligned if it is cropped to the face already"
            )
        height, width = self.size
        place = self.animator.placement if self.animator else _placement
        transform = place(found[0])
        portrait = portrait_quality.measure(pixels, found[0], height, width, transform)
        self.still = alignment.align(pixels, transform, height, width)
        yield Finding(
            OK,
            "image",
            f"{size}, a face with eyes {portrait.eyes:.0f} pixels apart; the model's crop of"
            f" {width}x{height} shows it {portrait.enlarged:.2f} times as large, turned by yaw"
            f" {round(portrait.yaw)}, pitch {round(portrait.pitch)}, tilt {round(portrait.tilt)}"
            " degrees",
            {"width": pixels.shape[1], "height": pixels.shape[0], "faces": len(found)}
            | dataclasses.asdict(portrait),
        )
        if len(found) > 1:
            said = f"{path} shows {len(found)} faces: the largest is taken, or give one alone"
            yield Finding(WARNING, "image", said)
        for doubt in portrait_quality.doubts(portrait):
            yield Finding(WARNING, "image", doubt)
        target = self.output / f"doctor_{pathlib.Path(path).stem}.png"
        drawn = overlay.draw(pixels, found, height, width, transform)
        files.write_atomically(target, images.encode_png(drawn))
        said = f"{target} shows the face found, the crop's outline and the crop"
        yield Finding(OK, "image", said, {"overlay": str(target)})

    def examine_audio(self, path: str) -> Iterator[Finding]:
        """Rate, channels and length, and the levels of its first ten minutes."""
        rate, channels, codec, declared = _form(path)
        try:
            samples, rate = decode.decode_sound(path, 0.0, _MEASURED)
        except BadClip as error:
            raise UserError(
                f"the sound of {path} {error}: give a sound file that plays, e.g. a WAV"
            ) from error
        if not samples.size:
            raise UserError(f"{path} has no sound in it (0 samples): give one with speech")
        measured = len(samples) / rate
        self.seconds = max(measured, declared) if measured > _MEASURED - 1 else measured
        frames = min(len(samples), -(-len(samples) * _FPS // rate))
        found = measures.sound(np.rint(samples * 32767).astype(np.int16), frames, _FPS)
        yield Finding(
            OK,
            "audio",
            f"{self.seconds:.2f} s of {codec} at {rate} Hz, {channels}"
            f" channel{'s, mixed to one' if channels > 1 else ''}; speech at"
            f" {found['level']:.1f} dBFS, peak {round(found['peak'], 1) + 0.0}, {found['clipped']:.2f} %"
            f" clipped, {found['silence']:.0f} % silent, DC offset {found['dc']:.2f} %",
            {"rate": rate, "channels": channels, "codec": codec, "seconds": self.seconds}
            | {"measured_s": measured}
            | found,
        )
        wanted = self.animator.rate if self.animator else _RATE
        if rate < wanted:
            yield Finding(
                WARNING,
                "audio",
                f"sound of {rate} Hz has nothing above {rate // 2} Hz, and the model was trained on"
                f" {wanted} Hz: give a recording of {wanted} Hz or more",
            )
        for said in _doubts(samples, found, frames):
            yield Finding(WARNING, "audio", said)
        if read_provenance(path).synthetic:
            yield Finding(OK, "audio", f"{path} says of itself that it is synthetic")

    def examine_video(self, path: str) -> Iterator[Finding]:
        """What it says about itself, and whether it is still what that was said of."""
        said = read_provenance(path)
        marks = said.facts or said.sidecar or {}
        values = {
            "synthetic": said.synthetic,
            "facts": marks,
            "sidecar": said.sidecar is not None,
            "unchanged": said.unchanged,
            "manifest": dataclasses.asdict(said.manifest) if said.manifest else None,
        }
        if not said.synthetic:
            yield Finding(OK, "video", f"{path} has no mark of being synthetic", values)
            return
        by = " ".join(str(part) for part in (marks.get("generator") or {}).values())
        signed = f", signed by {said.manifest.signer!r}" if said.manifest else ""
        yield Finding(
            OK, "video", f"{path} is synthetic, made by {by or 'a program unnamed'}{signed}", values
        )
        if said.unchanged is False:
            yield Finding(
                WARNING,
                "video",
                f"{path} is not the file that its sidecar was written for: trust neither, or find the"
                " original",
            )
        if said.manifest and not said.manifest.intact:
            yield Finding(
                WARNING,
                "video",
                f"{path} was changed after it was signed: trust it no more, or find the original",
            )

    def time(self) -> Iterator[Finding]:
        """How long it will take: some chunks are drawn, after one that compiles."""
        from s2f_jax.inference.session import CHUNK, GenerationSession

        assert self.animator is not None
        grey = np.full((*self.size, 3), 128, np.uint8)
        still = grey if self.still is None else self.still
        stride = self.animator.generator.stride
        sound = np.random.default_rng(0).uniform(-0.5, 0.5, (1, CHUNK * stride)).astype(np.float32)
        drawing = GenerationSession(self.animator.painter, still[None], (0,))
        started = time.perf_counter()
        drawing.push(np.concatenate([sound, sound], axis=1))  # With what the window looks ahead to.
        first = time.perf_counter() - started
        taken = []
        for _ in range(_ROUNDS):
            started = time.perf_counter()
            drawing.push(sound)
            taken.append(time.perf_counter() - started)
        per_second = CHUNK / statistics.median(taken)
        values = {"frames_per_s": per_second, "compile_s": first}
        said = f"{per_second:.1f} frames/s here, after {first:.1f} s for the first (compiling)"
        if self.seconds is not None:
            frames = int(np.ceil(self.seconds * self.animator.fps))
            needed = frames / per_second
            factor = needed / self.seconds
            values |= {"frames": frames, "expected_s": needed, "real_time_factor": factor}
            said += (
                f"; this sound's {frames} frames take about {needed:.2g} s,"
                f" {factor:.2g} times its length"
            )
        yield Finding(OK, "speed", said, values)


def _placement(landmarks: np.ndarray) -> np.ndarray:
    """As most models have it."""
    return alignment.face_transform(landmarks, *_SIZE)


def _form(path: str) -> tuple[int, int, str, float]:
    """A sound file's rate in Hz, channels, codec, and the seconds that it declares."""
    cure = "give a sound file that plays, e.g. a WAV"
    try:
        with av.open(str(pathlib.Path(path).absolute()), metadata_errors="replace") as container:
            stream = video.select_stream(container.streams.audio)
            context = stream and stream.codec_context  # None for a codec that nobody knows.
            if stream is None or context is None:
                raise UserError(f"{path} has no sound that can be decoded: {cure}")
            check_rate(context.sample_rate, f"the {context.sample_rate} Hz of {path}")
            seconds = float((stream.duration or 0) * (stream.time_base or 0))
            return context.sample_rate, context.channels, context.name, seconds
    except av.error.FFmpegError as error:
        raise UserError(f"{path} cannot be opened as sound ({error.strerror}): {cure}") from error


def _doubts(samples: np.ndarray, found: dict[str, float], frames: int) -> Iterator[str]:
    """What of a sound's measures is beyond the limits that training clips are checked by."""
    if not samples.any():
        yield "it is digital silence: give one with speech"
        return
    for name, cure in _CURES.items():
        measure, value = clip_checks.MEASURES[name], found[name]
        if name == "dynamics" and frames < _LEAST_FRAMES:
            continue
        if measure.excess(np.array([value]))[0] > 0:
            label = measure.label.lower()
            yield f"{label} {value:.1f} {measure.unit} ({measure.limit}): {cure}"
