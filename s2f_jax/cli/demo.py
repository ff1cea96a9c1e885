"""`demo`: serves a web page where a picture speaks with the visitor's voice."""

from collections.abc import Sequence

from s2f_jax.apps.live_demo.limits import DemoLimits
from s2f_jax.cli.command import Command, Flags, flag, reject_extra
from s2f_jax.cli.flags import BADGE, LISTEN, MODEL, limit_flags, pop_limits


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Serves the page.

    Args:
      flags: The flags that were given.
      extra: Must be empty.

    Returns:
      Exit code.
    """
    from s2f_jax.apps.live_demo.demo import demo

    reject_extra(extra)
    demo(limits=pop_limits(flags, DemoLimits), **flags)
    return 0


COMMAND = Command(
    run=run,
    flags=(
        flag(
            "--checkpoint DIR|NAME",
            f"{MODEL}; default: runs/demo, or else such a model",
        ),
        *LISTEN,
        flag("--keep DIR", "keep every video and its picture there; default: none"),
        BADGE,
        flag("--files_only", "do not ask for microphone and camera"),
        *limit_flags(DemoLimits),
    ),
    summary="serve a web page where a picture speaks with the visitor's voice",
    example="--checkpoint=runs/grid --port=8000",
)
