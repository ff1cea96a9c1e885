"""`study serve`: the page that people vote on."""

import contextlib

from s2f_jax.study import document
from s2f_jax.study.store import Store
from s2f_jax.web import serving
from s2f_jax.web.study_limits import StudyLimits

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
    made = document.read(study)
    made.check_videos()
    serving.check_packages()
    place = serving.listen(host, port, token, tls_certificate, tls_key)
    with contextlib.closing(place.listener), Store(made) as store:
        from s2f_jax.web.connections import Crowd
        from s2f_jax.web.study_app import application
        from s2f_jax.web.study_room import Room

        room = Room(made, store, bounds)
        print(place.address, flush=True)
        app = application(made, room, bounds, place)
        people = bounds.people * _EACH  # Who may share an address.
        serving.run(app, place, Crowd(people + _OTHERS, people, bounds.request_seconds))
