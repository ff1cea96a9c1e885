"""All commands, in the order in which they are listed; each is imported without what it runs."""

from s2f_jax.cli import (
    ablate,
    benchmark,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    gallery,
    generate,
    prepare,
    stream,
    study,
    train,
)

COMMANDS = {
    "train": train.COMMAND,
    "prepare": prepare.COMMAND,
    "evaluate": evaluate.COMMAND,
    "ablate": ablate.COMMAND,
    "benchmark": benchmark.COMMAND,
    "generate": generate.COMMAND,
    "convert": convert.COMMAND,
    "doctor": doctor.COMMAND,
    "stream": stream.COMMAND,
    "demo": demo.COMMAND,
    "gallery": gallery.COMMAND,
    "export": export.COMMAND,
    "study": study.COMMAND,
}
