"""`generate`: makes videos from portraits and audio files."""

from typing import Any

from s2f_jax.cli.command import Command, call, flag
from s2f_jax.cli.flags import ALIGNED, AUDIO, BADGE, IMAGE, MODEL, OUTPUT, SEED

_SEVERAL: dict[str, Any] = {"nargs": "+", "action": "extend"}

COMMAND = Command(
    run=call("s2f_jax.render.generate:generate"),
    flags=(
        flag("--checkpoint DIR|NAME", MODEL, required=True),
        flag(
            IMAGE,
            "portrait; several (separated by spaces or commas, or the flag again) go with one audio file"
            " or with as many; default: the model's own, if it comes with one",
            dest="images",
            **_SEVERAL,
        ),
        flag(
            AUDIO,
            "audio file, or video with sound, of any length; several and default as above",
            dest="audios",
            **_SEVERAL,
        ),
        flag(
            OUTPUT,
            "mp4 to write; of several videos their folder: IMAGE_AUDIO.mp4, or IMAGE_AUDIO_SEED.mp4."
            " Provenance is written into its tags and into FILE.json",
            required=True,
        ),
        *(SEED, ALIGNED, BADGE),
        flag(
            "--num_samples K",
            "make a video for each of the seeds SEED to SEED + K - 1; at least 1, default: 1",
            type=int,
        ),
        flag("--paste_back", "output the whole picture, with the animated face in its place"),
        flag(
            "--fps F",
            "frame rate in [1, 120], also 29.97 or 30000/1001; default: the model's, whose frames are"
            " repeated or dropped",
        ),
        flag("--side_by_side N", "videos generated at a time; at least 1, default: 4", type=int),
        flag("--certificate PEM", "sign a C2PA manifest into the video with it (extra c2pa)"),
        flag("--key PEM", "private key of --certificate"),
    ),
    summary="make a video from a portrait and an audio file",
    example="--checkpoint=runs/grid --image=face.png --audio=speech.wav --output=talk.mp4",
    atomic=True,
)
