"""`demo`: a page where a face is made to speak."""

from s2f_jax.cli.command import AddFlag, Command, call
from s2f_jax.cli.flags import MODEL, add_address, add_limits


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    from s2f_jax.apps.live_demo.limits import Limits

    add("--checkpoint", help=f"{MODEL}; default runs/demo")
    add_address(add)
    add(
        "--tls_certificate",
        metavar="PEM",
        help="for https, without which browsers give no microphone to a page of another machine",
    )
    add("--keep", metavar="DIR", help="keep every video there, with its picture; default: none")
    add("--badge", action="store_true", help="a small visible mark of what is synthetic")
    add("--files_only", action="store_true", help="no microphone and no camera is asked for")
    limits = {
        "upload_mb": "megabytes of a picture or a sound file",
        "megapixels": "of a picture",
        "sound_seconds": "the longest video",
        "sessions": "visitors at once",
        "idle_seconds": "without a word, after which a visitor's place is free",
        "stalled_seconds": "that a visitor may take to read what is sent",
        "request_seconds": "that a connection may take to ask for something",
    }
    add_limits(add, Limits, limits)


COMMAND = Command(
    run=call("s2f_jax.apps.live_demo.demo", "demo"),
    add_flags=add_flags,
    summary="a page where a person gives a face and speaks, and the face speaks",
    example="--checkpoint=runs/grid --port=8000",
)
