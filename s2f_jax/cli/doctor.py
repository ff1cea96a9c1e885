"""`doctor`: checks this machine, a portrait, an audio file, a checkpoint, a video."""

from s2f_jax.cli.command import Command, call, flag
from s2f_jax.cli.flags import AUDIO, IMAGE, JSON, MODEL

COMMAND = Command(
    run=call("s2f_jax.diagnostics.doctor:examine"),
    flags=(
        flag("--checkpoint DIR|NAME", f"model to load and time: {MODEL}"),
        flag(IMAGE, "portrait whose suitability is checked and drawn"),
        flag(AUDIO, "audio file whose quality is measured"),
        flag("--video FILE", "video whose provenance is read"),
        flag("--output DIR", "folder for doctor_IMAGE.png; default: the current one"),
        flag(JSON, "write all findings to a file", dest="json_file"),
    ),
    summary="check this machine, a portrait, an audio file or a checkpoint",
    example="--checkpoint=runs/grid --image=face.png --audio=speech.wav",
)
