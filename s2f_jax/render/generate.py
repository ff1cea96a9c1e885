"""`generate`: animates stills with audio files and writes mp4s, each as long as its audio."""

import contextlib
import dataclasses
import fractions
import math
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from data_pipelines.common import files, progress
from data_pipelines.common.errors import UserError
from data_pipelines.common.signals import handle_signals
from data_pipelines.media.sound import fit_length
from data_pipelines.media.sound_file import SoundFile
from s2f_jax.bundle import shipped
from s2f_jax.provenance import c2pa
from s2f_jax.render import jobs
from s2f_jax.render.frame_rate import parse_frame_rate
from s2f_jax.render.jobs import JobSpec
from s2f_jax.render.portrait import Portrait, load_portrait
from s2f_jax.render.video_job import VideoJob

if TYPE_CHECKING:
    from s2f_jax.inference.animator import Animator
    from s2f_jax.provenance.marks import ProvenanceRecord

_MAX_LENGTH_RATIO = 2  # Of the longest to the shortest audio of a batch.


def generate(
    checkpoint: str,
    images: Sequence[str] = (),
    audios: Sequence[str] = (),
    output: str = "",
    seed: int = 0,
    aligned: bool = False,
    num_samples: int = 1,
    fps: str | None = None,
    paste_back: bool = False,
    side_by_side: int = 4,
    badge: bool = False,
    certificate: str | None = None,
    key: str | None = None,
) -> None:
    """Writes videos of exactly ceil(samples * fps / rate) frames, with their audio.

    Each appears complete or not at all, and carries its provenance (provenance.marks).

    Args:
      checkpoint: A workdir, a checkpoint step's folder, a bundle, or a model's name.
      images: Portraits or crops, paired with the audio files as in jobs.plan_jobs; none: the bundle's
        own example.
      audios: Audio files, or videos with an audio track; none: the bundle's own example.
      output: The mp4 to write, or of several videos the folder.
      seed: Seed of the spontaneous motion, in [0, 2^32 - num_samples].
      aligned: Whether images are crops of the model's size.
      num_samples: Videos per pair, with the seeds seed, seed + 1, ...
      fps: Frame rate of the videos, such as "30000/1001"; default the model's.
      paste_back: Whether the face is put back into its picture.
      side_by_side: Videos that are generated in one batch, at most.
      badge: Whether frames show the badge of synthetic media.
      certificate: PEM file of a certificate to sign with.
      key: PEM file of its private key.

    Raises:
      UserError: A mistake of the user; of several videos, all that can be made are made first.
    """
    own_image = not images
    if own_image:
        images, aligned = [shipped.require_example(checkpoint, shipped.STILL_FILE, "image")], True
    audios = audios or [shipped.require_example(checkpoint, shipped.SPEECH_FILE, "audio")]
    planned = jobs.plan_jobs(images, audios, output, seed, num_samples)
    video_fps = None if fps is None else parse_frame_rate(fps)
    if side_by_side < 1:
        raise UserError(f"--side_by_side={side_by_side}: must be 1 or more")
    if paste_back and aligned:
        cure = "give one as --image" if own_image else "leave it or --aligned out"
        raise UserError(f"--paste_back needs a whole picture: {cure}")
    signer = _signer(certificate, key)
    seconds, errors = _audio_lengths(planned)
    batches = _batches([job for job in planned if job not in errors], seconds, side_by_side)
    with (
        handle_signals(_exit_on_signal, signal.SIGTERM),
        contextlib.closing(_PortraitLoader(aligned)) as portraits,
    ):
        if batches:
            portraits.prefetch(batches[0])
            # Imported while the faces are searched: each takes seconds.
            from s2f_jax.inference.animator import Animator
            from s2f_jax.inference.session import CHUNK_FRAMES
            from s2f_jax.provenance import marks

            animator = Animator.load(checkpoint)
            # Packs weights while the rest is compiled.
            portraits.thread.submit(animator.compiled.packed_weights, CHUNK_FRAMES)
            if animator.notice and not own_image:
                print(f"{checkpoint}: {animator.notice}", file=sys.stderr)
            mark = marks.provenance_record(animator.origin, seed, {}, composite=paste_back)
            video_fps = video_fps or animator.exact_fps
            renderer = _Renderer(animator, portraits, video_fps, mark, badge, signer)
            frames = sum(math.ceil(seconds[job.audio] * video_fps) for job in sum(batches, []))
            with progress.Progress("", frames, "frame", delay=3.0) as frame_progress:
                for batch, next_batch in zip(batches, [*batches[1:], []], strict=True):
                    portraits.prefetch(batch + next_batch)
                    errors |= renderer.render(batch, frame_progress)
    _raise_errors(planned, errors)


def _signer(certificate: str | None, key: str | None) -> c2pa.Signer | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UserError("--certificate and --key sign together: give both, or neither")
    signer = c2pa.Signer(certificate, key)
    c2pa.check_signer(signer)
    return signer


def _audio_lengths(planned: Sequence[JobSpec]) -> tuple[dict[str, float], dict[JobSpec, UserError]]:
    # Seconds of each audio file by its header, and the jobs whose files cannot be opened.
    seconds: dict[str, float] = {}
    errors: dict[JobSpec, UserError] = {}
    for job in planned:
        try:
            files.require_file(job.image, "image")
            if job.audio not in seconds:
                with contextlib.closing(SoundFile(job.audio)) as audio:
                    seconds[job.audio] = audio.seconds
        except UserError as error:
            errors[job] = error
    return seconds, errors


def _batches(
    planned: Sequence[JobSpec], seconds: Mapping[str, float], size: int
) -> list[list[JobSpec]]:
    # Of similar lengths: a batch is computed up to the end of its longest clip.
    batches: list[list[JobSpec]] = []
    for job in sorted(planned, key=lambda job: seconds[job.audio]):
        longest = _MAX_LENGTH_RATIO * seconds[batches[-1][0].audio] if batches else 0.0
        if batches and len(batches[-1]) < size and seconds[job.audio] <= longest:
            batches[-1].append(job)
        else:
            batches.append([job])
    return batches


def _raise_errors(planned: Sequence[JobSpec], errors: Mapping[JobSpec, UserError]) -> None:
    if errors and len(planned) == 1:
        raise errors[planned[0]]
    if errors:
        reasons = "; ".join(f"{job.output}: {str(e).rstrip('.')}" for job, e in errors.items())
        raise UserError(f"{len(errors)} of {len(planned)} videos were not made: {reasons}")


class _PortraitLoader:
    """Loads portraits in a thread: the face model takes as long to load as JAX."""

    def __init__(self, aligned: bool):
        self._aligned, self.thread = aligned, ThreadPoolExecutor(1)
        self._portraits: dict[str, Future[Portrait]] = {}

    def close(self) -> None:
        self.thread.shutdown(cancel_futures=True)

    def prefetch(self, batch: Sequence[JobSpec]) -> None:
        """Starts loading the portraits of these jobs, and forgets all others."""
        loaded = self._portraits
        self._portraits = {}
        for image in dict.fromkeys(job.image for job in batch):
            again = loaded.get(image)
            loading = again or self.thread.submit(load_portrait, image, self._aligned)
            self._portraits[image] = loading

    def __call__(self, image: str) -> Portrait:
        # Waits for a portrait, and raises UserError where it has none or no face.
        return self._portraits[image].result()


@dataclasses.dataclass
class _Renderer:
    """Renders batches of videos at `fps`."""

    animator: "Animator"
    portraits: _PortraitLoader
    fps: fractions.Fraction
    mark: "ProvenanceRecord"
    badge: bool
    signer: c2pa.Signer | None
    warned: set[str] = dataclasses.field(default_factory=set)  # Images.

    def render(
        self, batch: Sequence[JobSpec], frame_progress: progress.Progress
    ) -> dict[JobSpec, UserError]:
        # Renders a batch, and returns the jobs that failed with their errors.
        errors: dict[JobSpec, UserError] = {}
        videos: list[VideoJob] = []
        stills = []
        with contextlib.ExitStack() as stack:
            for spec in batch:
                try:
                    still, video = self._open(spec)
                except UserError as error:
                    errors[spec] = error
                    continue
                stack.callback(video.discard)
                videos.append(video)
                stills.append(still)
            if videos:
                self._generate(videos, np.stack(stills), frame_progress)
        return errors | {video.spec: video.error for video in videos if video.error}

    def _open(self, spec: JobSpec) -> tuple[np.ndarray, VideoJob]:
        portrait, animator = self.portraits(spec.image), self.animator
        still, transform = portrait.crop(animator)
        if spec.image not in self.warned:
            self.warned.add(spec.image)
            for warning in portrait.warnings(animator):
                progress.write(warning, sys.stderr)
        size, paste = animator.size, None
        if self.mark.composite:
            from s2f_jax.render.paste_back import Paster

            assert portrait.landmarks is not None and transform is not None
            size = portrait.image.shape[:2]
            paste = Paster(portrait.image, portrait.landmarks, transform, still)
        mark = self.mark.for_video(spec.seed, image=spec.image, audio=spec.audio)

        def compose(frame: np.ndarray) -> np.ndarray:
            picture = paste(frame) if paste else frame
            return mark.add_badge(picture[None])[0] if self.badge else picture

        return still, VideoJob(spec, mark, animator, self.fps, size, compose, self.signer)

    def _generate(
        self, videos: Sequence[VideoJob], stills: np.ndarray, frame_progress: progress.Progress
    ) -> None:
        animator, seeds = self.animator, [video.spec.seed for video in videos]
        audio = _audio_pieces(videos, animator.rate)  # A second at a time.
        for batch in animator.generate_frames(stills, audio, seeds):
            for video, frames in zip(videos, batch, strict=True):
                if video.active:
                    before = video.frames
                    video.write_frames(frames)
                    frame_progress.update(video.frames - before)
                    if video.done:
                        progress.write(video.summary())
                        for warning in video.warnings():
                            progress.write(warning, sys.stderr)


def _audio_pieces(videos: Sequence[VideoJob], samples: int) -> Iterator[np.ndarray]:
    # float32 [B, n]; shorter audio is padded with silence.
    while True:
        pieces = [video.read_audio(samples) for video in videos]
        length = max(map(len, pieces))
        if not length:
            return
        yield np.stack([fit_length(piece, length) for piece in pieces])


def _exit_on_signal(number: int, _frame: Any) -> None:
    # Unwinds the stack as Ctrl-C does, so that partial files are removed.
    raise SystemExit(128 + number)
