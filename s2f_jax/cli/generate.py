"""`generate`: stills and speech clips to mp4s."""

from s2f_jax.cli.command import AddFlag, Command, call
from s2f_jax.cli.flags import AUDIO, IMAGE, MODEL, OUTPUT, add_drawing


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    add("--checkpoint", required=True, help=MODEL)
    several = {"required": True, "nargs": "+", "action": "extend", "metavar": "FILE"}
    add(
        *IMAGE,
        dest="images",
        help="any portrait; several (one after the other, the flag again, or commas) go with one"
        " sound or with as many",
        **several,
    )
    add(
        *AUDIO,
        dest="audios",
        help="any file with sound, however long; several as above",
        **several,
    )
    add(
        *OUTPUT,
        required=True,
        metavar="FILE",
        help="the mp4 to write; of several videos their folder: IMAGE_AUDIO.mp4, or"
        " IMAGE_AUDIO_SEED.mp4; what made each is in its tags and in FILE.json",
    )
    add_drawing(add)
    add(
        "--num_samples",
        type=int,
        metavar="K",
        help="a video for each of the seeds SEED to SEED + K - 1",
    )
    add(
        "--paste_back",
        action="store_true",
        help="the whole picture, with the animated face in its place",
    )
    add(
        "--fps",
        metavar="F",
        help="1 to 120, also 29.97 or 30000/1001; the face still moves at the model's own rate,"
        " whose frames are shown again or left out",
    )
    add(
        "--side_by_side",
        type=int,
        metavar="N",
        help="so many videos are drawn at a time",
    )
    add("--certificate", metavar="PEM", help="to sign a C2PA manifest into the video (extra c2pa)")
    add("--key", metavar="PEM", help="of --certificate")


COMMAND = Command(
    run=call("s2f_jax.render.generate", "generate"),
    add_flags=add_flags,
    summary="a still and sound to an mp4",
    example="--checkpoint=runs/grid --image=face.png --audio=speech.wav --output=talk.mp4",
    atomic=True,
)
