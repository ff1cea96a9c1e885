"""`doctor`: what is wrong with this machine, a picture, a sound, a checkpoint."""

from s2f_jax.cli.command import AddFlag, Command, call
from s2f_jax.cli.flags import AUDIO, IMAGE, MODEL


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    add("--checkpoint", help=f"{MODEL}, to be loaded and timed")
    add(*IMAGE, help="a portrait, to be judged and drawn")
    add(*AUDIO, help="a sound file, to be measured")
    add("--video", help="a video, to be asked what it says of who made it")
    add("--output", metavar="DIR", help="for doctor_<image>.png; default here")
    add("--json", dest="json_file", metavar="FILE", help="all findings to a file")


COMMAND = Command(
    run=call("s2f_jax.diagnostics.doctor", "examine"),
    add_flags=add_flags,
    summary="what is wrong with this machine, a picture, a sound or a checkpoint",
    example="--checkpoint=runs/grid --image=face.png --audio=speech.wav",
)
