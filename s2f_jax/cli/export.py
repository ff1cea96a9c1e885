"""`export`: writes a model as a bundle that runs without this code."""

from s2f_jax.cli.command import Command, call, flag
from s2f_jax.cli.flags import ALIGNED, AUDIO, IMAGE, RUN

COMMAND = Command(
    run=call("s2f_jax.export.export:export_bundle"),
    flags=(
        flag("--checkpoint DIR", RUN, required=True),
        flag("--output DIR", "folder to write; must be new or empty", required=True),
        flag(
            "--formats FORMAT,...",
            "some of stablehlo, onnx (extra export), savedmodel, tflite (extra tensorflow); or none, the"
            " weights alone, which this package runs; default: stablehlo",
        ),
        flag(
            "--weights TYPE",
            "float32, bfloat16 or int8; default: float32. parity.json tells the loss of accuracy",
        ),
        flag(IMAGE, "portrait to compare the formats on; default: a drawn face"),
        flag(AUDIO, "audio for that; default: a synthetic voice"),
        ALIGNED,
        flag(
            "--example",
            "put the crop of --image and --audio into the bundle, for `generate` without them",
        ),
        flag(
            "--notice TEXT",
            "a sentence on what the model is for: in the card, and shown with any picture but the example",
        ),
        flag(
            "--license|--licence ID",
            "licence of the weights for the model card, as Hugging Face names it, e.g. cc-by-4.0",
            dest="licence",
        ),
    ),
    summary="write a model as a bundle that runs without this code",
    example="--checkpoint=runs/grid --output=bundle --formats=stablehlo,onnx",
)
