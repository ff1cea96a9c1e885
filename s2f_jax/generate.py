"""`generate`: one still and a speech clip to an mp4 with sound."""

import os

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
    target = epath.Path(output)
    if target.suffix != ".mp4":
        raise UserError(f"--output={output} does not end in .mp4: give a name that does")
    if not target.parent.is_dir():
        raise UserError(f"--output={output}: the folder {target.parent} does not exist; make it")
    if not os.access(target.parent, os.W_OK):
        raise UserError(f"--output={output}: the folder {target.parent} cannot be written to")
    animator = Animator.load(checkpoint)
    sound = animator.sound(audio)
    frames = animator(image, sound, animator.rate, seed=seed, aligned=aligned)
    media.write_video(output, frames, animator.fps, sound, animator.rate)
    seconds = len(frames) / animator.fps
    print(f"{output}: {len(frames)} frames, {seconds:.2f} s, {animator.size[1]}x{animator.size[0]}")
