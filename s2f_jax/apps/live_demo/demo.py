"""`s2f demo`: serves the live demo."""

import contextlib
import pathlib
import sys
from typing import Unpack

from data_pipelines.common.errors import UserError
from s2f_jax.apps.live_demo.limits import DemoLimits
from s2f_jax.apps.server import serving
from s2f_jax.apps.server.limits import ConnectionLimits

# Connections beside the WebSockets: for the page's files, and for visitors who wait.
_EXTRA_CONNECTIONS = 64
_EXTRA_PER_ADDRESS = 32
# In a run's workdir, written by launch/demo_video.py: picture, audio.
_EXAMPLE = ("unseen_face.png", "unseen_speech.wav")
DEMO = "runs/demo"


def demo(
    checkpoint: str | None = None,
    keep: str | None = None,
    badge: bool = False,
    files_only: bool = False,
    limits: DemoLimits | None = None,
    **address: Unpack[serving.ListenOptions],
) -> None:
    """Serves the live demo until Ctrl-C or SIGTERM; its URL is the only line on standard output.

    Args:
      checkpoint: Workdir, checkpoint step or bundle of the model; None: runs/demo.
      keep: Folder to keep every video and its picture in; None: none is kept.
      badge: Whether videos carry a small visible mark that they are synthetic.
      files_only: Whether the page asks for no microphone and no camera.
      limits: Limits on what visitors may take; None: the defaults.
      **address: Arguments of `serving.listen`.

    Raises:
      UserError: An argument is invalid, or there is no such checkpoint; nothing is served then.
    """
    limits = limits or DemoLimits()
    keep_folder = _make_keep_folder(keep)
    if checkpoint is None:
        checkpoint = DEMO
        if not pathlib.Path(DEMO).is_dir():
            raise UserError(
                f"there is no checkpoint at {DEMO}: make one with `make demo`, in about twelve"
                " minutes, or give --checkpoint=DIR"
            )
    listen_address = serving.listen(**address)
    with contextlib.closing(listen_address.listener):
        from s2f_jax.apps.live_demo.app import application
        from s2f_jax.apps.live_demo.studio import DemoService, warm_up
        from s2f_jax.inference.animator import Animator
        from s2f_jax.provenance import marks

        animator = Animator.load(checkpoint)
        mark = marks.provenance_record(animator.origin, 0, {})
        warm_up(animator)
        _check_face_model()
        picture, audio = (pathlib.Path(checkpoint) / name for name in _EXAMPLE)
        example = (picture, audio) if picture.is_file() and audio.is_file() else None
        service = DemoService(animator, mark, limits, example, keep_folder, badge, files_only)
        connections = ConnectionLimits(
            limits.sessions + _EXTRA_CONNECTIONS,
            limits.sessions + _EXTRA_PER_ADDRESS,
            limits.request_seconds,
        )
        with contextlib.closing(service):
            app = application(service, listen_address)
            serving.serve_until_interrupted(app, listen_address, connections)


def _make_keep_folder(keep: str | None) -> pathlib.Path | None:
    if keep is None:
        return None
    folder = pathlib.Path(keep)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--keep={keep}: cannot be created ({error.strerror}); give a folder that you can write to"
        ) from error
    return folder


def _check_face_model() -> None:
    """Without it, only crops of the model's size can be used."""
    from data_pipelines.faces import landmarks

    try:
        landmarks.model_path()
    except UserError as error:
        print(f"s2f: only crops are accepted, no photographs: {error}", file=sys.stderr)
