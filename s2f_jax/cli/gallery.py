"""`gallery`: makes animated pictures of a model's results on unseen clips."""

from s2f_jax.cli.command import Command, call, flag
from s2f_jax.cli.flags import DATA_DIR, RUN, SEED, SPLIT

COMMAND = Command(
    run=call("s2f_jax.render.gallery:gallery"),
    flags=(
        flag("--checkpoint DIR", RUN, required=True),
        flag("--output DIR", "folder to write; must be new or empty", required=True),
        *(DATA_DIR, SPLIT, SEED),
    ),
    summary="make animated pictures of a model's results on unseen clips",
    example="--checkpoint=runs/grid --output=gallery",
    atomic=True,
)
