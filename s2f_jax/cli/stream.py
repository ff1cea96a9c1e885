"""`stream`: sound in as it comes, frames out as they are due."""

from s2f_jax.cli.command import AddFlag, Command, call
from s2f_jax.cli.flags import AUDIO, IMAGE, MODEL, OUTPUT, add_drawing


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    from s2f_jax.render import audio_sources, video_sinks

    add("--checkpoint", required=True, help=MODEL)
    add(*IMAGE, required=True, help="any portrait")
    add(
        *AUDIO,
        metavar="FILE|-",
        help="any file with sound; default -, standard input",
    )
    add("--rate", type=int, metavar="HZ", help="of raw samples; default the model's")
    add(
        "--format",
        dest="audio_format",
        choices=audio_sources.FORMATS,
        help="of standard input, or of a raw file; default what it is: a WAV, else s16le; mono",
    )
    add(
        "--microphone",
        nargs="?",
        const="",
        metavar="DEVICE",
        help="listen to this one, by its number or a part of its name; without, the system's own",
    )
    add(
        *OUTPUT,
        metavar="FILE|-",
        help="where the video goes, as it is made; default -, standard output",
    )
    add(
        "--to",
        choices=video_sinks.FORMATS,
        help="an mp4 in fragments, with sound; Y4M; raw RGB; default by the output's ending, or mp4",
    )
    add_drawing(add)
    add("--pace", action="store_true", help="play the sound in real time, as if it were live")
    add("--json", dest="json_file", metavar="FILE", help="the latencies to a file")


COMMAND = Command(
    run=call("s2f_jax.render.stream", "stream"),
    add_flags=add_flags,
    summary="a still and sound that comes, to a video as it is due",
    example="--checkpoint=runs/grid --image=face.png --microphone --output=live.mp4",
)
