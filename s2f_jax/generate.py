"""`generate`: one still and a speech clip to an mp4 with sound."""

import os
import sys

from etils import epath

from data_pipelines import media
from data_pipelines.errors import UserError
from s2f_jax.animate import Animator


def generate(
    checkpoint: str, image: str, audio: str, output: str, seed: int = 0, aligned: bool = False
) -> None:
    """Writes exactly ceil(samples * fps / rate) frames with the sound beside them.

    Raises UserError for what a person can mend; then nothing is written.
    """
    _check_output(output)
    animator = Animator.load(checkpoint)
    sound = animator.sound(audio)
    if aligned:
        still = animator.still(image)
    else:
        still, faces = animator.portrait(image)
        if faces > 1:
            print(f"{image} shows {faces} faces: the largest is taken", file=sys.stderr)
    frames = animator(still, sound, animator.rate, seed=seed, aligned=True)
    media.write_video(output, frames, animator.fps, sound, animator.rate)
    seconds = len(frames) / animator.fps
    print(f"{output}: {len(frames)} frames, {seconds:.2f} s, {animator.size[1]}x{animator.size[0]}")


def _check_output(output: str) -> None:
    """What can be known before the work."""
    target = epath.Path(output)
    if target.suffix.lower() != ".mp4":
        raise UserError(f"--output={output} does not end in .mp4: give a name that does")
    if target.is_dir():
        raise UserError(f"--output={output} is a folder: give another name")
    if not target.parent.is_dir():
        raise UserError(f"--output={output}: there is no folder {target.parent}; make it first")
    if not os.access(target.parent, os.W_OK):
        raise UserError(f"--output={output}: the folder {target.parent} cannot be written to")
