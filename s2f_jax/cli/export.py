"""`export`: writes a model as a bundle that runs without this code."""

from s2f_jax.cli.command import AddFlag, Command, call
from s2f_jax.cli.flags import AUDIO, IMAGE, RUN, add_aligned


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags.

    Args:
      add: argparse's add_argument.
    """
    add("--checkpoint", required=True, metavar="DIR", help=RUN)
    add("--output", required=True, metavar="DIR", help="folder to write; must be new or empty")
    add(
        "--formats",
        metavar="FORMAT,...",
        help="some of stablehlo, onnx (extra export), savedmodel, tflite (extra tensorflow); default:"
        " stablehlo",
    )
    add(
        "--weights",
        help="float32, bfloat16 or int8; default: float32. parity.json tells the loss of accuracy",
    )
    add(*IMAGE, metavar="FILE", help="portrait to compare the formats on; default: a drawn face")
    add(*AUDIO, metavar="FILE", help="audio for that; default: a synthetic voice")
    add_aligned(add)
    add(
        *("--license", "--licence"),
        dest="licence",
        metavar="ID",
        help="licence of the weights for the model card, as Hugging Face names it, e.g. cc-by-4.0",
    )


COMMAND = Command(
    run=call("s2f_jax.export.export", "export_bundle"),
    add_flags=add_flags,
    summary="write a model as a bundle that runs without this code",
    example="--checkpoint=runs/grid --output=bundle --formats=stablehlo,onnx",
)
