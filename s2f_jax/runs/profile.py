"""A profile of a few training steps, as config.profile asks for."""

from collections.abc import Callable
from typing import Any

import jax
from etils import epath


class Profile:
    """A trace of some steps by jax.profiler, in the run's folder; `close` keeps what there is.

    Args:
      steps: Numbers of the steps to profile, counted from 1.
      workdir: The run's folder.
      say: Prints a sentence.
    """

    def __init__(self, steps: range, workdir: epath.Path, say: Callable[[str], None]):
        self._steps, self._folder, self._say = steps, workdir / "profile", say
        self._running = False

    def before(self, number: int, state: Any) -> None:
        """Begins the trace if it is time; a resumed run may begin within the steps asked for.

        Args:
          number: Number of the next step, counted from 1.
          state: State of the training, which is waited for.
        """
        if number in self._steps and not self._running:
            jax.block_until_ready(state)  # Or the trace would begin within the step before.
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # Python's calls would crowd the steps out.
            jax.profiler.start_trace(str(self._folder), profiler_options=options)
            self._running = True

    def after(self, number: int, state: Any) -> None:
        """Ends the trace if it is time.

        Args:
          number: Number of the step that was dispatched.
          state: State of the training, which is waited for.
        """
        if self._running and number + 1 not in self._steps:
            jax.block_until_ready(state)
            self.close()

    def close(self) -> None:
        """Ends a trace that is under way, and says where it is."""
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
            self._say(
                f"profile of the steps {self._steps[0]} to {self._steps[-1]} in {self._folder}:"
                f" `tensorboard --logdir={self._folder}` (with xprof installed), or its"
                " .trace.json.gz at https://ui.perfetto.dev"
            )
