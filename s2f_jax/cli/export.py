"""`export`: a model as a folder that runs without this code."""

from s2f_jax.cli.command import AddFlag, Command, call
from s2f_jax.cli.flags import AUDIO, IMAGE, RUN, add_aligned


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    add("--checkpoint", required=True, help=RUN)
    add("--output", required=True, help="the folder to write, which is not there yet")
    add(
        "--formats",
        help="some of stablehlo, onnx (extra export), savedmodel and tflite (extra tensorflow), with"
        " commas; default stablehlo",
    )
    add(
        "--weights",
        help="float32, bfloat16 or int8; what each loses is in parity.json",
    )
    add(*IMAGE, help="a portrait to compare the formats on")
    add(*AUDIO, help="and the sound for it")
    add_aligned(add)
    add(
        *("--license", "--licence"),
        dest="licence",
        help="of the weights, for the card, as the hub calls it, e.g. cc-by-4.0",
    )


COMMAND = Command(
    run=call("s2f_jax.export.export", "export_bundle"),
    add_flags=add_flags,
    summary="a model as a folder that runs without this code",
    example="--checkpoint=runs/grid --output=bundle --formats=stablehlo,onnx",
)
