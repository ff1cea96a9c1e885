"""`stream`: makes a video while its audio arrives."""

from s2f_jax.cli.command import Command, call, flag
from s2f_jax.cli.flags import ALIGNED, AUDIO, BADGE, IMAGE, JSON, MODEL, OUTPUT, SEED

COMMAND = Command(
    run=call("s2f_jax.render.stream:stream"),
    flags=(
        flag("--checkpoint DIR|NAME", MODEL, required=True),
        flag(IMAGE, "portrait; default: the model's own, if it comes with one"),
        flag(f"{AUDIO}|-", "audio file, or video with sound; default: -, standard input"),
        flag("--rate HZ", "sample rate of raw audio; default: the model's", type=int),
        flag(
            "--format",
            "format of standard input or of a raw file, mono; default: detected, WAV or else s16le",
            dest="audio_format",
            choices="s2f_jax.render.audio_sources:FORMATS",
        ),
        flag(
            "--microphone DEVICE",
            "record a microphone, by its number or part of its name; without DEVICE the default one",
            nargs="?",
            const="",
        ),
        flag(
            f"{OUTPUT}|-", "where the video is written as it is made; default: -, standard output"
        ),
        flag(
            "--to",
            "video format: fragmented mp4 with sound, Y4M, or raw RGB; default: by the file name, else"
            " mp4",
            choices="s2f_jax.render.video_sinks:FORMATS",
        ),
        *(SEED, ALIGNED, BADGE),
        flag("--pace", "read the audio in real time, as if it were live"),
        flag(JSON, "write the latencies to a file", dest="json_file"),
    ),
    summary="make a video while its audio arrives, with low latency",
    example="--checkpoint=runs/grid --image=face.png --microphone --output=live.mp4",
)
