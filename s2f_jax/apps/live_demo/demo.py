"""`demo`: a page where a person gives a face and speaks, and the face speaks."""

import contextlib
import pathlib
import sys

from data_pipelines.common.errors import UserError
from s2f_jax.apps.live_demo.limits import Limits
from s2f_jax.apps.server import serving

_OTHERS = 64  # Connections beside the sockets: the page's files, and visitors who wait.
_EACH = 32  # Of them, from one address.
# Of a run's workdir, as launch/demo_video.py leaves them.
_EXAMPLE = ("unseen_face.png", "unseen_speech.wav")
DEMO = "runs/demo"


def demo(
    checkpoint: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    tls_certificate: str | None = None,
    tls_key: str | None = None,
    keep: str | None = None,
    badge: bool = False,
    files_only: bool = False,
    **limits: int,
) -> None:
    """Serves the page until Ctrl-C or SIGTERM; the address is the only line on standard output.

    host, port, token, tls_*: as serving.listen has them. keep, badge, files_only: as studio.Studio.
    limits: fields of Limits.
    Raises UserError for what a person can mend, before anything is served.
    """
    bounds = Limits(**limits)
    folder = _kept(keep)
    if checkpoint is None:
        checkpoint = DEMO
        if not pathlib.Path(DEMO).is_dir():
            raise UserError(
                f"there is no checkpoint at {DEMO}: make it by `make demo`, in about twelve minutes,"
                " or give --checkpoint=DIR"
            )
    serving.check_packages()
    place = serving.listen(host, port, token, tls_certificate, tls_key)
    with contextlib.closing(place.listener):
        from s2f_jax.apps.live_demo.app import application
        from s2f_jax.apps.live_demo.studio import Studio, warm_up
        from s2f_jax.apps.server.connections import Crowd
        from s2f_jax.inference.animator import Animator
        from s2f_jax.provenance import marks

        animator = Animator.load(checkpoint)
        mark = marks.provenance_record(animator.origin, 0, {})
        warm_up(animator)
        _look_for_the_face_model()
        files = tuple(pathlib.Path(checkpoint) / name for name in _EXAMPLE)
        example = (files[0], files[1]) if all(file.is_file() for file in files) else None
        options = {"example": example, "keep": folder, "badge": badge, "files_only": files_only}
        studio = Studio(animator, mark, bounds, **options)
        try:
            print(place.address, flush=True)
            most, each = bounds.sessions + _OTHERS, bounds.sessions + _EACH
            crowd = Crowd(most, each, bounds.request_seconds)
            serving.serve_until_interrupted(application(studio, place), place, crowd)
        finally:
            studio.close()


def _kept(keep: str | None) -> pathlib.Path | None:
    if keep is None:
        return None
    folder = pathlib.Path(keep)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--keep={keep} cannot be made ({error.strerror}): give a folder that you can write to"
        ) from error
    return folder


def _look_for_the_face_model() -> None:
    """Crops of the model's size are taken without it."""
    from data_pipelines.faces import landmarks

    try:
        landmarks.model_path()
    except UserError as error:
        print(f"s2f: no photographs, crops alone: {error}", file=sys.stderr)
