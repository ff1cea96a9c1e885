"""`generate`: makes videos from portraits and audio files."""

from s2f_jax.cli.command import AddFlag, Command, call
from s2f_jax.cli.flags import AUDIO, IMAGE, MODEL, OUTPUT, add_generation


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags.

    Args:
      add: argparse's add_argument.
    """
    add("--checkpoint", required=True, metavar="DIR", help=MODEL)
    several = {"required": True, "nargs": "+", "action": "extend", "metavar": "FILE"}
    add(
        *IMAGE,
        dest="images",
        help="portrait; several (separated by spaces or commas, or the flag again) go with one audio"
        " file or with as many",
        **several,
    )
    add(
        *AUDIO,
        dest="audios",
        help="audio file, or video with sound, of any length; several as above",
        **several,
    )
    add(
        *OUTPUT,
        required=True,
        metavar="FILE",
        help="mp4 to write; of several videos their folder: IMAGE_AUDIO.mp4, or IMAGE_AUDIO_SEED.mp4."
        " Provenance is written into its tags and into FILE.json",
    )
    add_generation(add)
    add(
        "--num_samples",
        type=int,
        metavar="K",
        help="make a video for each of the seeds SEED to SEED + K - 1; at least 1, default: 1",
    )
    add(
        "--paste_back",
        action="store_true",
        help="output the whole picture, with the animated face in its place",
    )
    add(
        "--fps",
        metavar="F",
        help="frame rate in [1, 120], also 29.97 or 30000/1001; default: the model's, whose frames are"
        " repeated or dropped",
    )
    add(
        "--side_by_side",
        type=int,
        metavar="N",
        help="number of videos that are generated at a time; at least 1, default: 4",
    )
    add(
        "--certificate",
        metavar="PEM",
        help="certificate to sign a C2PA manifest into the video (extra c2pa)",
    )
    add("--key", metavar="PEM", help="private key of --certificate")


COMMAND = Command(
    run=call("s2f_jax.render.generate", "generate"),
    add_flags=add_flags,
    summary="make a video from a portrait and an audio file",
    example="--checkpoint=runs/grid --image=face.png --audio=speech.wav --output=talk.mp4",
    atomic=True,
)
