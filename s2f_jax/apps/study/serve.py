"""`study serve`: the page that people vote on."""

import contextlib

from s2f_jax.apps.server import serving
from s2f_jax.apps.study import document
from s2f_jax.apps.study.limits import StudyLimits
from s2f_jax.apps.study.store import Store

_EACH = 6  # Connections that a browser opens at most.
_OTHERS = 64  # Connections beside those of the people: who waits, who withdraws.


def serve(
    study: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    tls_certificate: str | None = None,
    tls_key: str | None = None,
    **limits: int,
) -> None:
    """Serves the study of a folder until Ctrl-C or SIGTERM; the address is the only line on standard
    output.

    host, port, token, tls_*: as serving.listen has them. limits: fields of StudyLimits.
    Raises UserError for what a person can mend, before anything is served.
    """
    bounds = StudyLimits(**limits)
    made = document.read_study(study)
    made.check_videos()
    serving.check_packages()
    place = serving.listen(host, port, token, tls_certificate, tls_key)
    with contextlib.closing(place.listener), Store(made) as store:
        from s2f_jax.apps.server.connections import Crowd
        from s2f_jax.apps.study.app import application
        from s2f_jax.apps.study.room import Room

        room = Room(made, store, bounds)
        print(place.address, flush=True)
        app = application(made, room, bounds, place)
        people = bounds.people * _EACH  # Who may share an address.
        serving.serve_until_interrupted(
            app, place, Crowd(people + _OTHERS, people, bounds.request_seconds)
        )
