"""What a run shows: metrics.jsonl, TensorBoard, a bar on a terminal or plain lines elsewhere."""

import contextlib
import io
import json
import math
import sys
import time
import wave
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import psutil
import tensorboardX
import tqdm
from etils import epath
from PIL import Image
from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore

from data_pipelines.common import files
from s2f_jax.models.discriminators import DISCRIMINATORS, network_name
from s2f_jax.runs.early_stopping import EarlyStopping


def gif(frames: np.ndarray, fps: float) -> bytes:
    """Encodes an endless GIF.

    Args:
      frames: uint8 [T, H, W, 3].
      fps: Frame rate in frames/s.

    Returns:
      The file's bytes.
    """
    images = [Image.fromarray(frame) for frame in frames]
    file = io.BytesIO()
    images[0].save(
        file, "GIF", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0
    )
    return file.getvalue()


def wav(audio: np.ndarray, rate: int) -> bytes:
    """Encodes a WAV file.

    Args:
      audio: int16 mono [n].
      rate: Sampling rate in Hz.

    Returns:
      The file's bytes.
    """
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, rate, len(audio), "NONE", ""))
        writer.writeframes(audio.astype("<i2").tobytes())
    return file.getvalue()


def finite_or_none(values: Mapping[str, float]) -> dict[str, float | None]:
    """Replaces what JSON does not have: infinity and NaN.

    Args:
      values: Values by name.

    Returns:
      The same, with None in place of those.
    """
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def memory_gb() -> float:
    """Measures the memory in use.

    Returns:
      1e9 bytes: the most in use so far on the fullest of this process's devices; where they do not
      tell, as CPUs do not, the process's resident set now.
    """
    stats = [device.memory_stats() for device in jax.local_devices()]
    peaks = [each["peak_bytes_in_use"] for each in stats if each]
    return (max(peaks) if peaks else psutil.Process().memory_info().rss) / 1e9


class Watch:
    """Notices discriminators that have nothing to teach the generator.

    At chance: the mean of both accuracies is at most CHANCE. Not each by itself, since one that
    calls everything real has 1 and 0, and knows no more than a coin. At certainty: both accuracies
    are above CERTAINTY; the generator's gradient then comes from where it never wins.
    """

    CHANCE, CERTAINTY = 0.6, 0.98
    EVENTS = 20  # Log events in a row; a few are nothing, as the two sides take turns.

    def __init__(self):
        self._spells: dict[str, tuple[str, int]] = {}  # By network: where it sits, how long.

    def event(self, values: Mapping[str, float]) -> list[str]:
        """Takes the means of one more log event.

        Args:
          values: Metrics by name.

        Returns:
          Sentences to print; each spell gives one.
        """
        sentences = []
        for section in DISCRIMINATORS:
            name = network_name(section)
            if f"{name}/loss" not in values:
                continue
            real, fake = values[f"{name}/accuracy_real"], values[f"{name}/accuracy_fake"]
            at = "chance" if (real + fake) / 2 <= self.CHANCE else ""
            at = "certainty" if min(real, fake) > self.CERTAINTY else at
            before, events = self._spells.get(name, ("", 0))
            events = events + 1 if at == before else 1
            self._spells[name] = at, events
            if at and events == self.EVENTS:
                faster, heavier = ("higher", "lower") if at == "chance" else ("lower", "higher")
                sentences.append(
                    f"D_{section} has been at {at} for {events} log events, so that the generator"
                    f" learns little from it: consider a {faster} --config.discriminators.{section}.rate or"
                    f" a {heavier} --config.discriminators.{section}.weight in another run"
                )
        return sentences


class _Events:
    """metrics.jsonl, one line an event.

    It is appended to, or rewritten now and then in a store like gs://, which cannot append.
    """

    PAUSE = 60  # Seconds between two rewritings.

    def __init__(self, path: epath.Path, first_step: int):
        self._path = path
        # What a stopped run logged past its last checkpoint is made again.
        before = path.read_text().splitlines(keepends=True) if path.exists() else []
        self._lines = [
            line
            for line in before
            if line.endswith("\n") and json.loads(line)["step"] <= first_step
        ]
        self._appends = not files.is_remote(path)
        self._write()

    def add(self, event: Mapping[str, Any]) -> None:
        line = json.dumps(event) + "\n"
        if self._appends:
            with self._path.open("a") as file:
                file.write(line)
            return
        self._lines.append(line)
        if time.monotonic() - self._written > self.PAUSE:
            self._write()

    def _write(self) -> None:
        files.write_atomically(self._path, "".join(self._lines).encode())
        self._written = time.monotonic()

    def flush(self) -> None:
        if not self._appends:
            self._write()


class Log:
    """Everything a run writes about itself; on processes other than the first, nothing.

    Args:
      workdir: The run's folder.
      first_step: Step at which the run starts or is resumed.
      steps: Number of steps of the whole run.
      enabled: Whether this is the first process.
    """

    def __init__(self, workdir: epath.PathLike, first_step: int, steps: int, enabled: bool):
        self._enabled = enabled
        self._start, self._first_step, self._steps = time.monotonic(), first_step, steps
        self._watch = Watch()
        if not enabled:
            return
        self._events = _Events(epath.Path(workdir) / "metrics.jsonl", first_step)
        self._board = tensorboardX.SummaryWriter(str(workdir), purge_step=first_step + 1)
        self._bar = tqdm.tqdm(
            total=steps, initial=first_step, unit="step", disable=not sys.stderr.isatty()
        )

    def training(self, step: int, epoch: int, values: Mapping[str, float], text: str) -> None:
        """Logs a training event.

        Args:
          step: Number of the step, counted from 1.
          epoch: Number of the epoch, counted from 1.
          values: Terms, rates and accuracies since the last event.
          text: The most telling ones in words.
        """
        if not self._enabled:
            return
        self._scalars(step, epoch, values)
        text += f", {values['clips_per_s']:.2f} clips/s"
        text += f", data wait {values['data_wait_percent']:.1f}%, {values['memory_gb']:.1f} GB"
        if self._bar.disable:
            rate = (step - self._first_step) / (time.monotonic() - self._start)
            left = tqdm.tqdm.format_interval((self._steps - step) / max(rate, 1e-9))
            at = (
                f"step {step}/{self._steps}, epoch {epoch}, {rate:.2f} steps/s, {left} left at most"
            )
            print(f"{at}, {text}", flush=True)
        else:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)
        for sentence in self._watch.event(values):
            self.say(sentence)

    def validation(
        self,
        step: int,
        epoch: int,
        scores: Mapping[str, float],
        text: str,
        stopping: EarlyStopping,
    ) -> None:
        """Logs the scores of an epoch.

        Args:
          step: Number of the step, counted from 1.
          epoch: Number of the epoch, counted from 1.
          scores: Scores by name.
          text: The scores in words.
          stopping: The early stopping whose patience is reported.
        """
        if not self._enabled:
            return
        self._scalars(step, epoch, {f"validation/{name}": x for name, x in scores.items()})
        self.say(
            f"epoch {epoch}: validation {text}; {stopping.epochs_without} of {stopping.patience} epochs without a better one"
        )

    def _scalars(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """One line of metrics.jsonl, the same for TensorBoard."""
        self._events.add({"step": step, "epoch": epoch, **finite_or_none(values)})
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def flush(self) -> None:
        """Makes what is logged by now survive this process."""
        if self._enabled:
            self._events.flush()

    def say(self, text: str) -> None:
        """Prints a sentence that stays on the screen.

        Args:
          text: The sentence.
        """
        if self._enabled:
            tqdm.tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def video(self, name: str, frames: np.ndarray, fps: float, audio: np.ndarray, rate: int, step):
        """Writes a video to TensorBoard: stills, a GIF and sound.

        Args:
          name: Name of the tag.
          frames: uint8 [T, H, W, 3].
          fps: Frame rate in frames/s.
          audio: int16 [n].
          rate: Sampling rate in Hz.
          step: Number of the step, counted from 1.
        """
        if not self._enabled:
            return
        strip = np.concatenate(list(frames[:: max(len(frames) // 8, 1)][:8]), axis=1)
        self._board.add_image(f"{name}/frames", strip, step, dataformats="HWC")
        # tensorboardX's own add_video and add_audio need moviepy and soundfile.
        moving = Summary.Image(
            height=frames.shape[1],
            width=frames.shape[2],
            colorspace=3,
            encoded_image_string=gif(frames, fps),
        )
        sound = Summary.Audio(
            sample_rate=rate,
            num_channels=1,
            length_frames=len(audio),
            encoded_audio_string=wav(audio, rate),
            content_type="audio/wav",
        )
        writer: Any = self._board.file_writer
        values = [
            Summary.Value(tag=f"{name}/moving", image=moving),
            Summary.Value(tag=f"{name}/sound", audio=sound),
        ]
        writer.add_summary(Summary(value=values), step)

    def close(self) -> None:
        """Closes all files."""
        if self._enabled:
            self._bar.close()
            self._events.flush()
            self._board.close()


class Meter:
    """Measures rates since they were last read, and the memory in use.

    Args:
      batch_size: Number of clips per batch.
    """

    def __init__(self, batch_size: int):
        self._batch_size = batch_size
        self.restart()

    def restart(self) -> None:
        """Begins anew."""
        self._start, self._waited, self._steps = time.monotonic(), 0.0, 0

    @contextlib.contextmanager
    def fetching(self) -> Iterator[None]:
        """Measures the wait for one batch, which is made meanwhile.

        Yields:
          Nothing.
        """
        entered = time.monotonic()
        yield
        self._waited += time.monotonic() - entered

    def step(self) -> None:
        """Counts one more step."""
        self._steps += 1

    def read(self) -> dict[str, float]:
        """Reads the rates and begins anew.

        Returns:
          clips_per_s, steps_per_s, data_wait_percent and memory_gb.
        """
        elapsed = max(time.monotonic() - self._start, 1e-9)
        rates = {
            "clips_per_s": self._steps * self._batch_size / elapsed,
            "steps_per_s": self._steps / elapsed,
            "data_wait_percent": 100 * self._waited / elapsed,
            "memory_gb": memory_gb(),
        }
        self.restart()
        return rates
