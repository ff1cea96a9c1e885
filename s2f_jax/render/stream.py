"""`stream`: reads audio as it arrives and writes each frame as soon as it is due."""

import contextlib
import json
import os
import pathlib
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.common.signals import handle_signals
from s2f_jax.bundle import shipped
from s2f_jax.render import audio_sources, jobs, video_sinks
from s2f_jax.render.audio_level import LevelMeter
from s2f_jax.render.live import LiveGeneration, TimestampedAudioReader
from s2f_jax.render.portrait import load_portrait

if TYPE_CHECKING:
    from s2f_jax.inference.animator import Animator

_MAX_LIVE_SPEED = 1.1  # Times real time; above it, latencies say little.


def stream(
    checkpoint: str,
    image: str | None = None,
    audio: str = "-",
    audio_format: str | None = None,
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
    """Animates a still with audio that arrives, until either the audio ends or nobody reads.

    Standard output carries the video alone; the latencies are printed on standard error in the end.
    The provenance of a video in a file is written beside it.

    Args:
      checkpoint: A workdir, a checkpoint step's folder, a bundle, or a model's name.
      image: A portrait or a crop; None: the bundle's own example.
      audio: A file, or - for standard input.
      audio_format: One of audio_sources.FORMATS, or None to detect it.
      rate: Rate of raw samples or the microphone, Hz; default the model's or the microphone's.
      microphone: The microphone's number or a part of its name, empty for the system's default;
        None for none.
      output: A file, or - for standard output.
      to: One of video_sinks.FORMATS; default by the output's suffix, or mp4.
      seed: Seed of the spontaneous motion, in [0, 2^32).
      aligned: Whether the image is a crop of the model's size.
      badge: Whether frames show the badge of synthetic media.
      pace: Whether a file is played in real time.
      json_file: File to which the latencies are written.

    Raises:
      UserError: A mistake of the user, or damaged audio.
    """
    to = _check_arguments(output, to, microphone, audio, pace, json_file)
    own_image = image is None
    if image is None:
        image, aligned = shipped.require_example(checkpoint, shipped.STILL_FILE, "image"), True
    files.require_file(image, "image")
    if microphone is None:
        source = audio_sources.open_audio(audio, audio_format, rate)
    else:
        source = audio_sources.open_microphone(microphone, rate)
    with contextlib.ExitStack() as stack:
        stack.callback(source.close)
        from s2f_jax.inference.animator import Animator
        from s2f_jax.provenance import marks

        animator = Animator.load(checkpoint)
        if animator.notice and not own_image:
            _log(f"{checkpoint}: {animator.notice}")
        portrait = load_portrait(image, aligned)
        still, _ = portrait.crop(animator)
        for warning in portrait.warnings(animator):
            _log(warning)
        recorded = microphone is None and audio != "-" and pathlib.Path(audio).is_file()
        inputs = {"image": image} | ({"audio": audio} if recorded else {})
        mark = marks.provenance_record(animator.origin, seed, inputs)
        source_rate = source.rate or animator.rate
        live = LiveGeneration(animator, still, source_rate, seed, recorded and not pace)
        fps = animator.exact_fps
        file = stack.enter_context(_open_output(output))
        level = LevelMeter(source_rate)
        pieces = level.watch(source.pieces, None if recorded else _log)
        reader = TimestampedAudioReader(pieces, source_rate if pace else None)
        signals: list[int] = []

        def end_audio(number: int, _frame: Any) -> None:
            if signals:  # A second signal interrupts at once.
                raise KeyboardInterrupt
            signals.append(number)
            reader.end()

        # A closed pipe is no error: its reader has seen enough.
        with (
            handle_signals(end_audio, signal.SIGINT, signal.SIGTERM),
            contextlib.suppress(BrokenPipeError),
        ):
            sink = video_sinks.open_sink(to, file, animator.size, fps, source_rate, mark.metadata)
            _log(_describe(source.name, to, sink, live, animator))
            try:
                live.run(reader, sink, mark.add_badge if badge else None)
            except BaseException:
                sink.abort()
                raise
        report = live.report()
        _log(_format_report(report))
        for warning in [*source.warnings(), *(f"{source.name}: {w}" for w in level.warnings())]:
            _log(warning)
        if output != "-" and pathlib.Path(output).is_file():  # Not a pipe to a player.
            if report["frames"]:
                mark.write_sidecar(output, report["frames"], float(fps))
            else:  # No player opens a video without frames.
                pathlib.Path(output).unlink()
        if json_file is not None:
            files.write_atomically(json_file, f"{json.dumps(report, indent=2)}\n".encode())
    if reader.error is not None and not signals:  # What a signal cuts off is incomplete.
        raise reader.error
    if not report["sound_s"] and not signals:
        raise UserError(f"{source.name} has no sound in it (0 samples): give at least one")


def _check_arguments(
    output: str,
    to: str | None,
    microphone: str | None,
    audio: str,
    pace: bool,
    json_file: str | None,
) -> str:
    # -> the video's format.
    if microphone is not None and (pace or audio != "-"):
        raise UserError("--microphone is the sound: leave --audio and --pace out")
    suffix = pathlib.Path(output).suffix.lower().removeprefix(".")
    by_suffix = {"mp4": "mp4", "y4m": "y4m", "rgb": "rgb24", "rgb24": "rgb24"}.get(suffix)
    if output == "-":
        if sys.stdout.isatty():
            raise UserError("--output=-: pipe the video, e.g. `| ffplay -`, or give a file")
    elif to is None and by_suffix is None:
        raise UserError(f"--output={output} has no suffix of a video format: give e.g. --to=mp4")
    for flag, name in (("output", output), ("json", json_file)):
        if name not in (None, "-"):
            jobs.check_output_file(flag, name)
    if output != "-" and json_file == f"{output}.json":
        raise UserError(f"--json={json_file} is where the provenance goes: give another name")
    return to or by_suffix or "mp4"


@contextlib.contextmanager
def _open_output(output: str) -> Iterator[video_sinks.FileDescriptor]:
    sys.stdout.flush()
    if output == "-":
        # The video gets a copy of standard output, and what is printed there, also by libraries in
        # C, goes to standard error meanwhile.
        number = os.dup(1)
        os.dup2(2, 1)
    else:
        with files.explain_write_errors(output):
            number = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        yield video_sinks.FileDescriptor(number)
    finally:
        if output == "-":
            sys.stdout.flush()
            os.dup2(number, 1)
        os.close(number)


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _describe(
    name: str, to: str, sink: video_sinks.VideoSink, live: LiveGeneration, animator: "Animator"
) -> str:
    rate = live.rate
    height, width = animator.size
    delays = [f"{1000 * live.look_ahead:.0f} ms of sound after it"]
    if live.resampling_delay:
        delays.append(
            f"up to {1000 * live.resampling_delay:.0f} ms more to resample from {rate} Hz"
        )
    if sink.delay:
        delays.append(f"up to {1000 * sink.delay:.0f} ms more in {to}")
    return (
        f"{name} at {rate} Hz to {to}, {width}x{height}, {animator.fps:g} frames/s; a frame waits"
        f" for {', '.join(delays)}"
    )


def _format_report(report: dict[str, Any]) -> str:
    if not report["frames"]:
        return "no frames were written"
    latency = ", ".join(f"{name} {value:.0f}" for name, value in report["latency_ms"].items())
    text = (
        f"{report['frames']} frames of {report['sound_s']:.2f} s; latency {latency} ms;"
        f" {report['late']} late, by more than {report['late_after_ms']:.0f} ms;"
        f" real-time factor {report['real_time_factor']:.2f}"
    )
    speed = report["sound_speed"]
    if speed is None or speed > _MAX_LIVE_SPEED:
        arrival = "at once" if speed is None else f"at {speed:.1f} times real time"
        text += (
            f"; the sound arrived {arrival}, so that frames waited for each other (--pace plays a"
            " file in real time)"
        )
    return text
