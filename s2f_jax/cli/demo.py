"""`demo`: serves a web page where a picture speaks with the visitor's voice."""

from collections.abc import Sequence

from s2f_jax.apps.live_demo.limits import DemoLimits
from s2f_jax.cli.command import AddFlag, Command, Flags, reject_extra
from s2f_jax.cli.flags import MODEL, add_badge, add_limits, add_listen_options, pop_limits


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags.

    Args:
      add: argparse's add_argument.
    """
    add("--checkpoint", metavar="DIR", help=f"{MODEL}; default: runs/demo")
    add_listen_options(add)
    add("--keep", metavar="DIR", help="keep every video and its picture there; default: none")
    add_badge(add)
    add("--files_only", action="store_true", help="do not ask for microphone and camera")
    descriptions = {
        "upload_mb": "most megabytes of a picture or an audio file",
        "megapixels": "most megapixels of a picture",
        "sound_seconds": "longest video, in seconds",
        "sessions": "most visitors at once",
        "idle_seconds": "seconds without a message after which a visitor's place is free",
        "stalled_seconds": "seconds that a visitor may take to read what is sent",
        "request_seconds": "seconds that a connection may take to send a request",
    }
    add_limits(add, DemoLimits, descriptions)


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Serves the page.

    Args:
      flags: The flags that were given.
      extra: Must be empty.

    Returns:
      Exit code.
    """
    reject_extra(extra)
    from s2f_jax.apps.live_demo.demo import demo

    demo(limits=pop_limits(flags, DemoLimits), **flags)
    return 0


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="serve a web page where a picture speaks with the visitor's voice",
    example="--checkpoint=runs/grid --port=8000",
)
