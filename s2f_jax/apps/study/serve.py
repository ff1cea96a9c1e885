"""`s2f study serve`: serves the page of a study."""

import contextlib
from typing import Unpack

from s2f_jax.apps.server import serving
from s2f_jax.apps.server.limits import ConnectionLimits
from s2f_jax.apps.study import document
from s2f_jax.apps.study.limits import StudyLimits
from s2f_jax.apps.study.store import Store

_PER_BROWSER = 6  # Connections that a browser opens at most.
_EXTRA_CONNECTIONS = 64  # For those who wait for a place, or withdraw.


def serve(
    study: str, limits: StudyLimits | None = None, **address: Unpack[serving.ListenOptions]
) -> None:
    """Serves a study until Ctrl-C or SIGTERM; its URL is the only line on standard output.

    Args:
      study: The study's folder.
      limits: Limits on what participants may take; None: the defaults.
      **address: Arguments of `serving.listen`.

    Raises:
      UserError: An argument is invalid, or the study is damaged; nothing is served then.
    """
    limits = limits or StudyLimits()
    checked = document.read_study(study)
    checked.check_videos()
    listen_address = serving.listen(**address)
    with contextlib.closing(listen_address.listener), Store(checked) as store:
        from s2f_jax.apps.study.app import application
        from s2f_jax.apps.study.room import StudyService

        app = application(checked, StudyService(checked, store, limits), limits, listen_address)
        per_address = limits.people * _PER_BROWSER  # All may share an address.
        total = per_address + _EXTRA_CONNECTIONS
        connections = ConnectionLimits(total, per_address, limits.request_seconds)
        serving.serve_until_interrupted(app, listen_address, connections)
