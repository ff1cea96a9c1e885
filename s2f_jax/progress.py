"""What a run shows: metrics.jsonl, TensorBoard, a bar on a terminal or plain lines elsewhere."""

import io
import json
import math
import sys
import time
from collections.abc import Mapping

import numpy as np
import tensorboardX
import tqdm
from etils import epath
from PIL import Image
from tensorboardX.proto.summary_pb2 import Summary


def gif(frames: np.ndarray, fps: float) -> bytes:
    """uint8 [T, H, W, 3] -> an endless GIF."""
    images = [Image.fromarray(frame) for frame in frames]
    file = io.BytesIO()
    images[0].save(
        file, "GIF", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0
    )
    return file.getvalue()


def finite_or_none(values: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no infinity and no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


class Log:
    """Everything a run writes about itself; on processes other than the first, nothing."""

    def __init__(self, workdir: epath.PathLike, first_step: int, steps: int, enabled: bool):
        self._enabled = enabled
        self._start, self._first_step, self._steps = time.monotonic(), first_step, steps
        if not enabled:
            return
        self._jsonl = epath.Path(workdir) / "metrics.jsonl"
        self._lines = []
        if self._jsonl.exists():
            # What a stopped run logged past its last checkpoint is made again.
            for line in self._jsonl.read_text().splitlines(keepends=True):
                if line.endswith("\n") and json.loads(line)["step"] <= first_step:
                    self._lines.append(line)
        self._jsonl.write_text("".join(self._lines))
        self._board = tensorboardX.SummaryWriter(str(workdir), purge_step=first_step + 1)
        self._bar = tqdm.tqdm(
            total=steps, initial=first_step, unit="step", disable=not sys.stderr.isatty()
        )

    def scalars(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """One line of metrics.jsonl, the same for TensorBoard."""
        if not self._enabled:
            return
        event = {"step": step, "epoch": epoch, **finite_or_none(values)}
        with self._jsonl.open("a") as file:
            file.write(json.dumps(event) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def line(self, step: int, epoch: int, text: str) -> None:
        """Where the run stands: beside the bar, or as a line of its own with the time left."""
        if not self._enabled:
            return
        if self._bar.disable:
            rate = (step - self._first_step) / (time.monotonic() - self._start)
            left = (self._steps - step) / max(rate, 1e-9)
            at = f"step {step}/{self._steps}, epoch {epoch}"
            at += f", {rate:.2f} steps/s, {tqdm.tqdm.format_interval(left)} left at most"
            print(f"{at}, {text}", flush=True)
        else:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)

    def say(self, text: str) -> None:
        """A sentence that stays on the screen."""
        if self._enabled:
            tqdm.tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def video(self, name: str, frames: np.ndarray, fps: float, audio: np.ndarray, rate: int, step):
        """frames uint8 [T, H, W, 3] as stills and a GIF, audio int16 [n] as sound."""
        if not self._enabled:
            return
        strip = np.concatenate(list(frames[:: max(len(frames) // 8, 1)][:8]), axis=1)
        self._board.add_image(f"{name}/frames", strip, step, dataformats="HWC")
        self._board.add_audio(f"{name}/sound", audio[None] / 32768, step, rate)
        picture = Summary.Image(
            height=frames.shape[1],
            width=frames.shape[2],
            colorspace=3,
            encoded_image_string=gif(frames, fps),
        )
        summary = Summary(value=[Summary.Value(tag=f"{name}/moving", image=picture)])
        self._board._get_file_writer().add_summary(summary, step)

    def close(self) -> None:
        if self._enabled:
            self._bar.close()
            self._board.close()
