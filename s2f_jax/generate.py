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

from data_pipelines import files, media
from data_pipelines.errors import UserError
from data_pipelines.sound import SoundFile
from s2f_jax.videos import jobs, signing, timing
from s2f_jax.videos.jobs import Job
from s2f_jax.videos.looks import Look, look
from s2f_jax.videos.takes import Take

if TYPE_CHECKING:
    from s2f_jax.animate import Animator
    from s2f_jax.videos.provenance import Mark

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
    shown = None if fps is None else timing.frame_rate(fps)
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
            from s2f_jax.animate import Animator
            from s2f_jax.streaming import CHUNK
            from s2f_jax.videos import provenance

            animator = Animator.load(checkpoint)
            looks.thread.submit(animator.painter.arranged, CHUNK)  # While the rest is compiled.
            mark = provenance.mark(animator.origin, seed, {}, composite=paste_back)
            studio = _Studio(animator, looks, shown, mark, badge, signer)
            frames = sum(math.ceil(seconds[job.audio] * studio.fps) for job in sum(groups, []))
            with _Progress(frames) as progress:
                for group, following in zip(groups, [*groups[1:], []], strict=True):
                    looks.ahead(group + following)
                    errors |= studio.make(group, progress)
    _tell(planned, errors)


def _signer(certificate: str | None, key: str | None) -> signing.Signer | None:
    """Who signs, if anybody does; tried before any work."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UserError("--certificate and --key sign together: give both, or neither")
    signer = signing.Signer(certificate, key)
    signing.check(signer)
    return signer


def _lengths(planned: Sequence[Job]) -> tuple[dict[str, float], dict[Job, UserError]]:
    """How long each sound says it is, in seconds, and the jobs that cannot be begun."""
    seconds: dict[str, float] = {}
    errors: dict[Job, UserError] = {}
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
    planned: Sequence[Job], seconds: Mapping[str, float], side_by_side: int
) -> list[list[Job]]:
    """What is drawn side by side, none of it much longer than the rest: it goes on to the end of
    the longest."""
    groups: list[list[Job]] = []
    for job in sorted(planned, key=lambda job: seconds[job.audio]):
        longest = _UNEVEN * seconds[groups[-1][0].audio] if groups else 0.0
        if groups and len(groups[-1]) < side_by_side and seconds[job.audio] <= longest:
            groups[-1].append(job)
        else:
            groups.append([job])
    return groups


def _tell(planned: Sequence[Job], errors: Mapping[Job, UserError]) -> None:
    if errors and len(planned) == 1:
        raise errors[planned[0]]
    if errors:
        reasons = "; ".join(f"{job.output}: {str(e).rstrip('.')}" for job, e in errors.items())
        raise UserError(f"{len(errors)} of {len(planned)} videos were not made: {reasons}")


class _Looks:
    """Looks at pictures in a thread of its own: the face model is as slow to load as JAX."""

    def __init__(self, aligned: bool):
        self._aligned, self.thread = aligned, ThreadPoolExecutor(1)
        self._looks: dict[str, Future[Look]] = {}

    def __enter__(self) -> "_Looks":
        return self

    def __exit__(self, *_: Any) -> None:
        self.thread.shutdown(cancel_futures=True)

    def ahead(self, group: Sequence[Job]) -> None:
        """Begins with these; others are forgotten."""
        before = self._looks
        self._looks = {}
        for job in group:
            if job.image not in self._looks:
                seen = before.get(job.image) or self.thread.submit(look, job.image, self._aligned)
                self._looks[job.image] = seen

    def __call__(self, image: str) -> Look:
        """Raises UserError where it cannot be read, or shows no face."""
        return self._looks[image].result()


class _Studio:
    """Where groups of videos are drawn."""

    def __init__(
        self,
        animator: "Animator",
        looks: _Looks,
        fps: fractions.Fraction | None,
        mark: "Mark",
        badge: bool,
        signer: signing.Signer | None,
    ):
        """fps: of the videos, default the model's; mark: what all of them have in common."""
        self._animator, self._looks = animator, looks
        self._own_fps = fractions.Fraction(animator.rate, animator.generator.stride)
        self.fps = fps or self._own_fps
        self._mark, self._badge, self._signer = mark, badge, signer
        self._warned: set[str] = set()

    def make(self, group: Sequence[Job], progress: "_Progress") -> dict[Job, UserError]:
        """Draws a group side by side; those that could not be made, and why."""
        errors: dict[Job, UserError] = {}
        takes: list[Take] = []
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

    def _take(self, job: Job) -> tuple[np.ndarray, Take]:
        """The still that the model takes, and the video to be."""
        seen, animator = self._looks(job.image), self._animator
        still, transform = seen.still(animator)
        if job.image not in self._warned:
            self._warned.add(job.image)
            for doubt in seen.doubts(animator):
                tqdm.tqdm.write(doubt, file=sys.stderr)
        size, draw = animator.size, None
        if self._mark.composite:
            from s2f_jax.videos.paste import Paster

            assert seen.landmarks is not None and transform is not None
            size = seen.picture.shape[:2]
            draw = Paster(seen.picture, seen.landmarks, transform, still)
        mark = self._mark.video(job.seed, image=job.image, audio=job.audio)
        take = Take(
            *(job, mark, animator.rate, self._own_fps, self.fps, size),
            draw=draw,
            badge=self._badge,
            signer=self._signer,
        )
        return still, take

    def _draw(self, takes: Sequence[Take], stills: np.ndarray, progress: "_Progress") -> None:
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


def _pieces(takes: Sequence[Take], samples: int) -> Iterator[np.ndarray]:
    """So many samples of every sound at a time, float32 [B, n]; silence after the shorter ones."""
    while True:
        heard = [take.hear(samples) for take in takes]
        length = max(map(len, heard))
        if not length:
            return
        yield np.stack([media.fit_length(piece, length) for piece in heard])


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
