"""`doctor`'s checks of what it is given: checkpoint, image, audio and video."""

import contextlib
import dataclasses
import pathlib
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import jax
import numpy as np

from data_pipelines.common import files
from data_pipelines.common.download import local_model
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.faces import alignment, measures, overlay, portrait_quality
from data_pipelines.faces import landmarks as face_landmarks
from data_pipelines.media import decode, images, video
from data_pipelines.media.sound_file import SoundFile
from data_pipelines.quality import clip_checks
from s2f_jax.diagnostics.findings import OK, WARNING, Finding
from s2f_jax.provenance.marks import provenance_record, read_provenance

if TYPE_CHECKING:
    from s2f_jax.inference.animator import Animator

# Of the model if no checkpoint is given: height and width, audio rate in Hz, frames/s.
_SIZE = (128, 96)
_RATE, _FPS = 16000, 25
_MAX_SECONDS = 600.0  # Seconds of audio that are measured; an hour would take gigabytes.
_MIN_FRAMES = 25  # For the measure "dynamics": shorter audio has no loud and quiet parts.
_CHUNKS = 3  # That are timed.
_REMEDIES = {  # For what exceeds the limits of clip_checks.MEASURES.
    "level": "make it louder",
    "dynamics": "remove the noise or music behind the speech",
    "clipped": "record it again with less gain",
    "silence": "cut the silence away",
}


@dataclasses.dataclass
class InputChecks:
    """The checks of the inputs, to be called in the order of the methods: later ones use earlier ones.

    Attributes:
      output: Folder for the drawing of the portrait.
      animator: The loaded model; None before or without `examine_checkpoint`.
      still: The aligned face, uint8 [H, W, 3]; None before or without `examine_image`.
      seconds: Length of the audio; None before or without `examine_audio`.
    """

    output: pathlib.Path
    animator: "Animator | None" = None
    still: np.ndarray | None = None
    seconds: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the model's frames, pixels."""
        return self.animator.size if self.animator else _SIZE

    def examine_checkpoint(self, path: str) -> Iterator[Finding]:
        """Restores a run's checkpoint or a bundle and verifies its checksums.

        Args:
          path: A workdir, a checkpoint step, an exported bundle or a model's name.

        Yields:
          A finding with the model's sizes and rates, and its notice, if it has one.
        """
        from s2f_jax.inference.animator import Animator

        started = time.perf_counter()
        animator = Animator.load(path)
        seconds = time.perf_counter() - started
        model = provenance_record(animator.origin, 0, {}).model
        parameters = sum(leaf.size for leaf in jax.tree.leaves(animator.compiled.weights))
        values = {
            **model,
            "height": animator.size[0],
            "width": animator.size[1],
            "audio_rate": animator.rate,
            "fps": animator.fps,
            "parameters": parameters,
            "load_s": seconds,
        }
        self.animator = animator
        exported = f", exported as {kind}" if (kind := model.get("weights")) else ""
        yield Finding(
            OK,
            f"{model['run']}, step {model['step']}{exported} is intact (checksum"
            f" {model['sum'][:12]}): {animator.size[1]}x{animator.size[0]} at {animator.fps:g}"
            f" frames/s from sound of {animator.rate} Hz, {parameters / 1e6:.1f} M weights, loaded in"
            f" {seconds:.1f} s",
            values,
        )
        if animator.notice:
            yield Finding(OK, animator.notice)

    def examine_image(self, path: str) -> Iterator[Finding]:
        """Finds the face, assesses the portrait, and draws the crop.

        Args:
          path: An image file.

        Yields:
          The portrait's measures, a warning for each problem, and the drawing's path.

        Raises:
          UserError: The image cannot be read, or no face was found.
        """
        pixels = images.read_image(path)
        size = f"{pixels.shape[1]}x{pixels.shape[0]} pixels"
        if local_model(face_landmarks.MODEL) is None:  # Nothing is downloaded here.
            raise UserError(f"{path} has {size}; no face is searched for: see faces above")
        faces = face_landmarks.find_faces(pixels)
        if not faces:
            raise UserError(
                f"{path} has {size}, and no face was found: give"
                f" {face_landmarks.wanted_portrait(pixels)}, or `generate` --aligned if it is"
                " cropped to the face already"
            )
        height, width = self.size
        if self.animator:
            transform = self.animator.crop_transform(faces[0])
        else:
            transform = alignment.face_transform(faces[0], height, width)
        portrait = portrait_quality.measure(pixels, faces[0], height, width, transform)
        self.still = alignment.align(pixels, transform, height, width)
        yield Finding(
            OK,
            f"{size}, a face with eyes {portrait.eyes:.0f} pixels apart; the model's crop of"
            f" {width}x{height} shows it {portrait.enlarged:.2f} times as large, at yaw"
            f" {round(portrait.yaw)}, pitch {round(portrait.pitch)}, tilt {round(portrait.tilt)}"
            " degrees",
            {"width": pixels.shape[1], "height": pixels.shape[0], "faces": len(faces)}
            | dataclasses.asdict(portrait),
        )
        if len(faces) > 1:
            text = f"{path} shows {len(faces)} faces: the largest is used; give an image of one"
            yield Finding(WARNING, text)
        for doubt in portrait_quality.quality_warnings(portrait):
            yield Finding(WARNING, doubt)
        target = self.output / f"doctor_{pathlib.Path(path).stem}.png"
        drawn = overlay.draw(pixels, faces, height, width, transform)
        files.write_atomically(target, images.encode_png(drawn))
        text = f"{target} shows the face found, the crop's outline and the crop"
        yield Finding(OK, text, {"overlay": str(target)})

    def examine_audio(self, path: str) -> Iterator[Finding]:
        """Measures rate, channels, length, and the levels of the first ten minutes.

        Args:
          path: An audio or video file.

        Yields:
          The measures, and a warning for each that exceeds the limits of training clips.

        Raises:
          UserError: The file cannot be decoded, or is empty.
        """
        with contextlib.closing(SoundFile(path)) as file:
            samples, rate, channels = _first_seconds(file), file.rate, file.channels
            codec, declared, losses = file.codec, file.seconds, file.losses.describe()
        measured = len(samples) / rate
        self.seconds = max(measured, declared) if measured > _MAX_SECONDS - 1 else measured
        frames = min(len(samples), -(-len(samples) * _FPS // rate))
        levels = _audio_measures(samples, frames)
        yield Finding(
            OK,
            f"{self.seconds:.2f} s of {codec} at {rate} Hz, {channels}"
            f" channel{'s, mixed to one' if channels > 1 else ''}; speech at"
            f" {levels['level']:.1f} dBFS, peak {round(levels['peak'], 1) + 0.0}, {levels['clipped']:.2f} %"
            f" clipped, {levels['silence']:.0f} % silent, DC offset {levels['dc']:.2f} %"
            " (removed before the model)",
            {"rate": rate, "channels": channels, "codec": codec, "seconds": self.seconds}
            | {"measured_s": measured}
            | levels,
        )
        model_rate = self.animator.rate if self.animator else _RATE
        if rate < model_rate:
            yield Finding(
                WARNING,
                f"sound of {rate} Hz has nothing above {rate // 2} Hz, and the model was trained on"
                f" {model_rate} Hz: give a recording of {model_rate} Hz or more",
            )
        for loss in losses:
            yield Finding(WARNING, f"{path}: {loss}")
        for doubt in _doubts(samples, levels, frames):
            yield Finding(WARNING, doubt)
        if read_provenance(path).synthetic:
            yield Finding(OK, f"{path} is marked as synthetic")

    def examine_video(self, path: str) -> Iterator[Finding]:
        """Reads a video's provenance, and checks that the file is still the one described.

        Args:
          path: A video file.

        Yields:
          How its pictures are converted, if they are; what is declared of its origin, and a warning
          for each mismatch.
        """
        if conversions := _conversions(path):
            text = f"{path}: its pictures are {' and '.join(conversions)}"
            yield Finding(OK, text, {"conversions": conversions})
        provenance = read_provenance(path)
        facts = provenance.facts or provenance.sidecar or {}
        manifest = provenance.manifest
        values = {
            "synthetic": provenance.synthetic,
            "facts": facts,
            "sidecar": provenance.sidecar is not None,
            "unchanged": provenance.unchanged,
            "manifest": dataclasses.asdict(manifest) if manifest else None,
        }
        if not provenance.synthetic:
            yield Finding(OK, f"{path} is not marked as synthetic", values)
            return
        program = " ".join(str(part) for part in (facts.get("generator") or {}).values())
        signed = f", signed by {manifest.signer!r}" if manifest else ""
        text = f"{path} is synthetic, made by {program or 'an unknown program'}{signed}"
        yield Finding(OK, text, values)
        if provenance.unchanged is False:
            text = f"{path} differs from the file that its sidecar describes: find the original"
            yield Finding(WARNING, text)
        if manifest and not manifest.intact:
            text = f"{path} was changed after it was signed: find the original"
            yield Finding(WARNING, text)

    def measure_speed(self) -> Iterator[Finding]:
        """Times the generation of some chunks of frames, after one that compiles.

        Yields:
          One finding: frames/s, and how long the given audio will take.
        """
        from s2f_jax.inference.session import CHUNK_FRAMES, GenerationSession

        assert self.animator is not None
        grey = np.full((*self.size, 3), 128, np.uint8)
        still = grey if self.still is None else self.still
        stride = self.animator.generator.stride
        shape = 1, CHUNK_FRAMES * stride
        audio = np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)
        session = GenerationSession(self.animator.compiled, still[None], (0,))
        started = time.perf_counter()
        session.push(np.concatenate([audio, audio], axis=1))  # With the window's look-ahead.
        first = time.perf_counter() - started
        durations = []
        for _ in range(_CHUNKS):
            started = time.perf_counter()
            session.push(audio)
            durations.append(time.perf_counter() - started)
        per_second = CHUNK_FRAMES / statistics.median(durations)
        values = {"frames_per_s": per_second, "compile_s": first}
        text = f"{per_second:.1f} frames/s, after {first:.1f} s for the first chunk (compilation)"
        if self.seconds is not None:
            frames = int(np.ceil(self.seconds * self.animator.fps))
            expected = frames / per_second
            factor = expected / self.seconds
            values |= {"frames": frames, "expected_s": expected, "real_time_factor": factor}
            text += (
                f"; this sound's {frames} frames take about {expected:.2g} s,"
                f" {factor:.2g} times its length"
            )
        yield Finding(OK, text, values)


def _conversions(path: str) -> list[str]:
    # What makes pictures of a video's frames; nothing of one whose provenance alone can be read.
    with contextlib.suppress(BadClip), decode.open_video(path) as container:
        reader = video.VideoReader(container)
        next(iter(reader.frames()), None)
        return sorted(reader.conversions)
    return []


def _audio_measures(samples: np.ndarray, frames: int) -> dict[str, float]:
    """Measures sound: how loud it is without its constant offset, which the model does not hear."""
    measured, heard = (
        measures.audio_measures(np.rint(32767 * part).astype(np.int16), frames, _FPS)
        for part in (samples, np.clip(samples - samples.mean(), -1, 1))
    )
    return measured | {name: heard[name] for name in ("level", "dynamics", "silence")}


def _first_seconds(file: SoundFile) -> np.ndarray:
    """Decodes the beginning of a file, or all of it."""
    pieces = []
    for piece in file.chunks():
        pieces.append(piece)
        if file.samples_decoded >= _MAX_SECONDS * file.rate:
            break
    return np.concatenate(pieces)[: round(_MAX_SECONDS * file.rate)]


def _doubts(samples: np.ndarray, levels: dict[str, float], frames: int) -> Iterator[str]:
    """Yields a sentence for each measure that exceeds the limits of training clips."""
    if not samples.any():
        yield "the sound is digital silence: give one with speech"
        return
    for name, remedy in _REMEDIES.items():
        measure, value = clip_checks.MEASURES[name], levels[name]
        if name == "dynamics" and frames < _MIN_FRAMES:
            continue
        if measure.excess(np.array([value]))[0] > 0:
            label = measure.label.lower()
            yield f"{label} {value:.1f} {measure.unit} ({measure.limit}): {remedy}"
