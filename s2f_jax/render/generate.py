"""`generate`: stills and speech clips to mp4s with sound, as long as the sound is."""

import contextlib
import fractions
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import tqdm

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.media.sound import SoundFile, fit_length
from s2f_jax.provenance import c2pa
from s2f_jax.render import frame_rate, jobs
from s2f_jax.render.jobs import JobSpec
from s2f_jax.render.portrait import Portrait, inspect_portrait
from s2f_jax.render.video_job import VideoJob

if TYPE_CHECKING:
    from s2f_jax.inference.animator import Animator
    from s2f_jax.provenance.marks import ProvenanceRecord

_UNEVEN = 2  # The longest of the sounds that are drawn side by side by the shortest, at most.
_PATIENCE = 3.0  # Seconds until a bar shows.
_LINE_EVERY = 10.0  # Seconds between two lines, where there is no terminal.


def generate(
    checkpoint: str,
    images: Sequence[str],
    audios: Sequence[str],
    output: str,
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
    """Videos of exactly ceil(samples * fps / rate) frames with their sound, as jobs.plan has them.

    Each appears whole or not at all, and says what made it (provenance.py). Raises UserError for
    what a person can mend; of several videos, all that can be made are made first.
    """
    planned = jobs.plan(images, audios, output, seed, num_samples)
    shown = None if fps is None else frame_rate.frame_rate(fps)
    if side_by_side < 1:
        raise UserError(f"--side_by_side={side_by_side} is out of range: give 1 or more")
    if paste_back and aligned:
        raise UserError(
            "--paste_back has no picture to put an --aligned crop into: leave one of them out"
        )
    signer = _signer(certificate, key)
    seconds, errors = _lengths(planned)
    groups = _groups([job for job in planned if job not in errors], seconds, side_by_side)
    with _sigterm_unwinds(), _Looks(aligned) as looks:
        if groups:
            looks.ahead(groups[0])
            # JAX comes while the faces are looked for.
            from s2f_jax.inference.animator import Animator
            from s2f_jax.inference.session import CHUNK
            from s2f_jax.provenance import marks

            animator = Animator.load(checkpoint)
            looks.thread.submit(animator.painter.arranged, CHUNK)  # While the rest is compiled.
            mark = marks.provenance_record(animator.origin, seed, {}, composite=paste_back)
            studio = _Studio(animator, looks, shown, mark, badge, signer)
            frames = sum(math.ceil(seconds[job.audio] * studio.fps) for job in sum(groups, []))
            with _Progress(frames) as progress:
                for group, following in zip(groups, [*groups[1:], []], strict=True):
                    looks.ahead(group + following)
                    errors |= studio.make(group, progress)
    _tell(planned, errors)


def _signer(certificate: str | None, key: str | None) -> c2pa.Signer | None:
    """Who signs, if anybody does; tried before any work."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UserError("--certificate and --key sign together: give both, or neither")
    signer = c2pa.Signer(certificate, key)
    c2pa.check_signer(signer)
    return signer


def _lengths(planned: Sequence[JobSpec]) -> tuple[dict[str, float], dict[JobSpec, UserError]]:
    """How long each sound says it is, in seconds, and the jobs that cannot be begun."""
    seconds: dict[str, float] = {}
    errors: dict[JobSpec, UserError] = {}
    for job in planned:
        try:
            files.existing(job.image, "image")
            if job.audio not in seconds:
                with contextlib.closing(SoundFile(job.audio)) as sound:
                    seconds[job.audio] = sound.seconds
        except UserError as error:
            errors[job] = error
    return seconds, errors


def _groups(
    planned: Sequence[JobSpec], seconds: Mapping[str, float], side_by_side: int
) -> list[list[JobSpec]]:
    """What is drawn side by side, none of it much longer than the rest: it goes on to the end of
    the longest."""
    groups: list[list[JobSpec]] = []
    for job in sorted(planned, key=lambda job: seconds[job.audio]):
        longest = _UNEVEN * seconds[groups[-1][0].audio] if groups else 0.0
        if groups and len(groups[-1]) < side_by_side and seconds[job.audio] <= longest:
            groups[-1].append(job)
        else:
            groups.append([job])
    return groups


def _tell(planned: Sequence[JobSpec], errors: Mapping[JobSpec, UserError]) -> None:
    if errors and len(planned) == 1:
        raise errors[planned[0]]
    if errors:
        reasons = "; ".join(f"{job.output}: {str(e).rstrip('.')}" for job, e in errors.items())
        raise UserError(f"{len(errors)} of {len(planned)} videos were not made: {reasons}")


class _Looks:
    """Looks at pictures in a thread of its own: the face model is as slow to load as JAX."""

    def __init__(self, aligned: bool):
        self._aligned, self.thread = aligned, ThreadPoolExecutor(1)
        self._looks: dict[str, Future[Portrait]] = {}

    def __enter__(self) -> "_Looks":
        return self

    def __exit__(self, *_: Any) -> None:
        self.thread.shutdown(cancel_futures=True)

    def ahead(self, group: Sequence[JobSpec]) -> None:
        """Begins with these; others are forgotten."""
        before = self._looks
        self._looks = {}
        for job in group:
            if job.image not in self._looks:
                seen = before.get(job.image) or self.thread.submit(
                    inspect_portrait, job.image, self._aligned
                )
                self._looks[job.image] = seen

    def __call__(self, image: str) -> Portrait:
        """Raises UserError where it cannot be read, or shows no face."""
        return self._looks[image].result()


class _Studio:
    """Where groups of videos are drawn."""

    def __init__(
        self,
        animator: "Animator",
        looks: _Looks,
        fps: fractions.Fraction | None,
        mark: "ProvenanceRecord",
        badge: bool,
        signer: c2pa.Signer | None,
    ):
        """fps: of the videos, default the model's; mark: what all of them have in common."""
        self._animator, self._looks = animator, looks
        self._own_fps = fractions.Fraction(animator.rate, animator.generator.stride)
        self.fps = fps or self._own_fps
        self._mark, self._badge, self._signer = mark, badge, signer
        self._warned: set[str] = set()

    def make(self, group: Sequence[JobSpec], progress: "_Progress") -> dict[JobSpec, UserError]:
        """Draws a group side by side; those that could not be made, and why."""
        errors: dict[JobSpec, UserError] = {}
        takes: list[VideoJob] = []
        stills = []
        with contextlib.ExitStack() as stack:
            for job in group:
                try:
                    still, take = self._take(job)
                except UserError as error:
                    errors[job] = error
                    continue
                stack.callback(take.discard)
                takes.append(take)
                stills.append(still)
            if takes:
                self._draw(takes, np.stack(stills), progress)
        return errors | {take.job: take.error for take in takes if take.error}

    def _take(self, job: JobSpec) -> tuple[np.ndarray, VideoJob]:
        """The still that the model takes, and the video to be."""
        seen, animator = self._looks(job.image), self._animator
        still, transform = seen.still(animator)
        if job.image not in self._warned:
            self._warned.add(job.image)
            for doubt in seen.doubts(animator):
                tqdm.tqdm.write(doubt, file=sys.stderr)
        size, draw = animator.size, None
        if self._mark.composite:
            from s2f_jax.render.paste_back import Paster

            assert seen.landmarks is not None and transform is not None
            size = seen.picture.shape[:2]
            draw = Paster(seen.picture, seen.landmarks, transform, still)
        mark = self._mark.for_video(job.seed, image=job.image, audio=job.audio)
        take = VideoJob(
            *(job, mark, animator.rate, self._own_fps, self.fps, size),
            draw=draw,
            badge=self._badge,
            signer=self._signer,
        )
        return still, take

    def _draw(self, takes: Sequence[VideoJob], stills: np.ndarray, progress: "_Progress") -> None:
        animator, seeds = self._animator, [take.job.seed for take in takes]
        # A second at a time.
        for frames in animator.frames(stills, _pieces(takes, animator.rate), seeds):
            for take, clip in zip(takes, frames, strict=True):
                if take.open:
                    before = take.frames
                    take.see(clip)
                    progress.add(take.frames - before)
                    if take.done:
                        tqdm.tqdm.write(take.told(), file=sys.stdout)


def _pieces(takes: Sequence[VideoJob], samples: int) -> Iterator[np.ndarray]:
    """So many samples of every sound at a time, float32 [B, n]; silence after the shorter ones."""
    while True:
        heard = [take.hear(samples) for take in takes]
        length = max(map(len, heard))
        if not length:
            return
        yield np.stack([fit_length(piece, length) for piece in heard])


class _Progress:
    """Frames so far, the rate and the time left: a bar on a terminal, else lines; nothing where the
    work takes less than a few seconds."""

    def __init__(self, total: int):
        self._total, self._done, self._first = total, 0, 0
        self._terminal = sys.stderr.isatty()
        self._start = self._shown = 0.0
        self._bar = tqdm.tqdm(
            total=total, unit="frame", delay=_PATIENCE, disable=not self._terminal
        )

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.close()

    def add(self, frames: int) -> None:
        """So many more are written."""
        now = time.monotonic()
        if not self._done:  # What came before them was compiling.
            self._first, self._start, self._shown = frames, now, now
        self._done += frames
        self._bar.update(frames)
        if self._terminal or now - self._shown < _LINE_EVERY:
            return
        self._shown, rate = now, (self._done - self._first) / (now - self._start)
        # A file may be longer than it says.
        left = tqdm.tqdm.format_interval(max(self._total - self._done, 0) / max(rate, 1e-9))
        print(
            f"{self._done} of {self._total} frames, {rate:.1f} frames/s, {left} left",
            file=sys.stderr,
            flush=True,
        )


@contextlib.contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does, so that nothing half-written is left."""
    if threading.current_thread() is not threading.main_thread():  # Only it may say so.
        yield
        return

    def end(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
