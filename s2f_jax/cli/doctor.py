"""`doctor`: checks this machine, a portrait, an audio file, a checkpoint, a video."""

from s2f_jax.cli.command import AddFlag, Command, call
from s2f_jax.cli.flags import AUDIO, IMAGE, MODEL


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags.

    Args:
      add: argparse's add_argument.
    """
    add("--checkpoint", metavar="DIR", help=f"model to load and time: {MODEL}")
    add(*IMAGE, metavar="FILE", help="portrait whose suitability is checked and drawn")
    add(*AUDIO, metavar="FILE", help="audio file whose quality is measured")
    add("--video", metavar="FILE", help="video whose provenance is read")
    add("--output", metavar="DIR", help="folder for doctor_IMAGE.png; default: the current one")
    add("--json", dest="json_file", metavar="FILE", help="write all findings to a file")


COMMAND = Command(
    run=call("s2f_jax.diagnostics.doctor", "examine"),
    add_flags=add_flags,
    summary="check this machine, a portrait, an audio file or a checkpoint",
    example="--checkpoint=runs/grid --image=face.png --audio=speech.wav",
)
