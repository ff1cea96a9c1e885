"""`stream`: sound in as it comes, frames out when they are due."""

import contextlib
import fractions
import json
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from s2f_jax.render import audio_sources, video_sinks
from s2f_jax.render.live import Live, TimestampedAudioReader
from s2f_jax.render.portrait import inspect_portrait

_FASTER = 1.1  # Times real time, from which on latencies say little.


def stream(
    checkpoint: str,
    image: str,
    audio: str = "-",
    form: str | None = None,
    rate: int | None = None,
    microphone: str | None = None,
    output: str = "-",
    to: str | None = None,
    seed: int = 0,
    aligned: bool = False,
    badge: bool = False,
    pace: bool = False,
    json_file: str | None = None,
) -> None:
    """From sound (sources.opened, sources.microphone) to a video (of sinks.FORMATS), until either
    ends; then what was late, on the standard error. What made a video in a file is beside it.

    Standard output carries the video alone. Raises UserError for what a person can mend.
    """
    to = _check(output, to, microphone, audio, pace, json_file)
    files.existing(image, "image")
    if microphone is None:
        source = audio_sources.opened(audio, form, rate)
    else:
        source = audio_sources.microphone(microphone, rate)
    with contextlib.ExitStack() as stack:
        stack.callback(source.close)
        from s2f_jax.inference.animator import Animator
        from s2f_jax.provenance import marks

        animator = Animator.load(checkpoint)
        seen = inspect_portrait(image, aligned)
        still, _ = seen.still(animator)
        for doubt in seen.doubts(animator):
            _say(doubt)
        recorded = microphone is None and audio != "-" and pathlib.Path(audio).is_file()
        inputs = {"image": image} | ({"audio": audio} if recorded else {})
        mark = marks.provenance_record(animator.origin, seed, inputs)
        source_rate = source.rate or animator.rate
        live = Live(animator, still, source_rate, seed, recorded and not pace)
        fps = fractions.Fraction(animator.rate, animator.generator.stride)
        file = stack.enter_context(_opened_output(output))
        ears = TimestampedAudioReader(source.pieces, source_rate if pace else None)
        with _stopped_by_signals(ears.end) as stopped, contextlib.suppress(BrokenPipeError):
            # A pipe that is closed is no mistake: who read it has seen enough.
            sink = video_sinks.opened(to, file, animator.size, fps, source_rate, mark.metadata)
            _say(_promise(source.name, source_rate, to, sink, live, animator))
            try:
                live.run(ears, sink, mark.add_badge if badge else None)
            except BaseException:
                sink.abandon()
                raise
        report = live.report()
        _say(_told(report))
        if output != "-" and pathlib.Path(output).is_file():  # And no pipe to a player.
            if report["frames"]:
                mark.write_sidecar(output, report["frames"], float(fps))
            else:  # A video that no player opens.
                pathlib.Path(output).unlink()
        if json_file is not None:
            files.write_atomically(json_file, f"{json.dumps(report, indent=2)}\n".encode())
    if ears.error is not None and not stopped:  # What a signal cut off is not whole.
        raise ears.error
    if not report["sound_s"] and not stopped:
        raise UserError(f"{source.name} has no sound in it (0 samples): give at least one")


def _check(
    output: str,
    to: str | None,
    microphone: str | None,
    audio: str,
    pace: bool,
    json_file: str | None,
) -> str:
    """What can be known before the work -> the format of the video."""
    if microphone is not None and (pace or audio != "-"):
        raise UserError("--microphone is the sound: leave --audio and --pace out")
    ending = pathlib.Path(output).suffix.lower().removeprefix(".")
    of_name = {"mp4": "mp4", "y4m": "y4m", "rgb": "rgb24", "rgb24": "rgb24"}.get(ending)
    if output == "-":
        if sys.stdout.isatty():
            raise UserError(
                "the video would go to the terminal: pipe it, e.g. `| ffplay -`, or give"
                " --output=FILE"
            )
    elif to is None and of_name is None:
        raise UserError(f"--output={output} has no ending that names a format: give e.g. --to=mp4")
    for flag, name in (("output", output), ("json", json_file)):
        if name in (None, "-"):
            continue
        path = pathlib.Path(name)
        if path.is_dir():
            raise UserError(f"--{flag}={name} is a folder: give another name")
        if not path.parent.is_dir():
            raise UserError(f"--{flag}={name}: there is no folder {path.parent}; make it first")
    if output != "-" and json_file == f"{output}.json":
        raise UserError(f"--json={json_file} is where the video's marks go: give another name")
    return to or of_name or "mp4"


@contextlib.contextmanager
def _opened_output(output: str) -> Iterator[video_sinks.Descriptor]:
    """The file, or standard output, to which nothing else is written meanwhile."""
    sys.stdout.flush()
    if output == "-":
        number = os.dup(1)
        os.dup2(2, 1)
    else:
        with files.writing(output):
            number = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        yield video_sinks.Descriptor(number)
    finally:
        if output == "-":
            sys.stdout.flush()
            os.dup2(number, 1)
        os.close(number)


@contextlib.contextmanager
def _stopped_by_signals(end: Callable[[], None]) -> Iterator[list[int]]:
    """SIGINT and SIGTERM end the sound; a second one interrupts at once. Those that came."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # Only it may say so.
        yield received
        return

    def note(number: int, _frame: Any) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        end()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _promise(
    name: str, rate: int, to: str, sink: video_sinks.Sink, live: Live, animator: Any
) -> str:
    height, width = animator.size
    parts = [f"{1000 * live.look_ahead:.0f} ms of sound after it"]
    if live.resampling:
        parts.append(f"up to {1000 * live.resampling:.0f} ms more to resample from {rate} Hz")
    if sink.delay:
        parts.append(f"up to {1000 * sink.delay:.0f} ms more in {to}")
    return (
        f"{name} at {rate} Hz to {to}, {width}x{height}, {animator.fps:g} frames/s; a frame waits"
        f" for {', '.join(parts)}"
    )


def _told(report: dict[str, Any]) -> str:
    """The figures in words."""
    if not report["frames"]:
        return "no frames were written"
    latency = ", ".join(f"{name} {value:.0f}" for name, value in report["latency_ms"].items())
    text = (
        f"{report['frames']} frames of {report['sound_s']:.2f} s; latency {latency} ms;"
        f" {report['late']} late, by more than {report['late_after_ms']:.0f} ms;"
        f" real-time factor {report['real_time_factor']:.2f}"
    )
    speed = report["sound_speed"]
    if speed is None or speed > _FASTER:
        came = "at once" if speed is None else f"{speed:.1f} times as fast as it was spoken"
        text += (
            f"; the sound came {came}, so that frames waited for each other (--pace plays a file in"
            " real time)"
        )
    return text
