"""`s2f demo`: serves the live demo."""

import contextlib
import pathlib
import sys
from typing import Unpack

from data_pipelines.common.errors import UserError
from s2f_jax.apps.live_demo.limits import DemoLimits
from s2f_jax.apps.server import serving
from s2f_jax.apps.server.limits import ConnectionLimits
from s2f_jax.bundle import shipped

# Connections beside the WebSockets: for the page's files, and for visitors who wait.
_EXTRA_CONNECTIONS = 64
_EXTRA_PER_ADDRESS = 32
# Picture and audio: in a run's workdir, written by launch/demo_video.py; and in a bundle.
_EXAMPLES = (
    ("unseen_face.png", "unseen_speech.wav"),
    (shipped.STILL_FILE, shipped.SPEECH_FILE),
)
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
      checkpoint: Workdir, checkpoint step, bundle or name of the model; None: runs/demo, or else the
        first model that comes with this package.
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
    checkpoint = _default_checkpoint() if checkpoint is None else checkpoint
    listen_address = serving.listen(**address)
    with contextlib.closing(listen_address.listener):
        from s2f_jax.apps.live_demo.app import application
        from s2f_jax.apps.live_demo.studio import DemoService, warm_up
        from s2f_jax.inference.animator import Animator
        from s2f_jax.provenance import marks

        animator = Animator.load(checkpoint)
        if animator.notice:
            print(f"{checkpoint}: {animator.notice}", file=sys.stderr)
        mark = marks.provenance_record(animator.origin, 0, {})
        warm_up(animator)
        _check_face_model()
        example = _example(pathlib.Path(shipped.resolve(checkpoint)))
        service = DemoService(animator, mark, limits, example, keep_folder, badge, files_only)
        connections = ConnectionLimits(
            limits.sessions + _EXTRA_CONNECTIONS,
            limits.sessions + _EXTRA_PER_ADDRESS,
            limits.request_seconds,
        )
        with contextlib.closing(service):
            app = application(service, listen_address)
            serving.serve_until_interrupted(app, listen_address, connections)


def _default_checkpoint() -> str:
    if pathlib.Path(DEMO).is_dir():
        return DEMO
    if names := shipped.model_names():
        print(f"the model {names[0]}, which comes with this package", file=sys.stderr)
        return names[0]
    raise UserError(
        f"there is no checkpoint at {DEMO}: make one with `make demo`, in about twelve minutes, or"
        " give --checkpoint=DIR"
    )


def _example(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path] | None:
    for picture, audio in _EXAMPLES:
        if (folder / picture).is_file() and (folder / audio).is_file():
            return folder / picture, folder / audio
    return None


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
