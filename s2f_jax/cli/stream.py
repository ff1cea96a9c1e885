"""`stream`: makes a video while its audio arrives."""

from s2f_jax.cli.command import AddFlag, Command, call
from s2f_jax.cli.flags import AUDIO, IMAGE, MODEL, OUTPUT, add_generation


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags.

    Args:
      add: argparse's add_argument.
    """
    from s2f_jax.render import audio_sources, video_sinks

    add("--checkpoint", required=True, metavar="DIR", help=MODEL)
    add(*IMAGE, required=True, metavar="FILE", help="portrait")
    add(
        *AUDIO,
        metavar="FILE|-",
        help="audio file, or video with sound; default: -, standard input",
    )
    add("--rate", type=int, metavar="HZ", help="sample rate of raw audio; default: the model's")
    add(
        "--format",
        dest="form",
        choices=audio_sources.FORMATS,
        help="format of standard input or of a raw file, mono; default: detected, WAV or else s16le",
    )
    add(
        "--microphone",
        nargs="?",
        const="",
        metavar="DEVICE",
        help="record a microphone, by its number or part of its name; without DEVICE the default one",
    )
    add(
        *OUTPUT,
        metavar="FILE|-",
        help="where the video is written as it is made; default: -, standard output",
    )
    add(
        "--to",
        choices=video_sinks.FORMATS,
        help="video format: fragmented mp4 with sound, Y4M, or raw RGB; default: by the file name, else"
        " mp4",
    )
    add_generation(add)
    add("--pace", action="store_true", help="read the audio in real time, as if it were live")
    add("--json", dest="json_file", metavar="FILE", help="write the latencies to a file")


COMMAND = Command(
    run=call("s2f_jax.render.stream", "stream"),
    add_flags=add_flags,
    summary="make a video while its audio arrives, with low latency",
    example="--checkpoint=runs/grid --image=face.png --microphone --output=live.mp4",
)
