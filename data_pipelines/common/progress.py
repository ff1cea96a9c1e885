"""Progress of a long task on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Self, TextIO, TypeVar

import tqdm

_SECONDS_PER_LINE = 10.0  # Where there is no terminal.
_BYTE = "B"

Item = TypeVar("Item")


class Progress:
    """Shows how much is completed, the rate and the time left, on stderr.

    On a terminal it is a bar, else a line every 10 seconds and one at the end. Rates are measured
    from the first update on, since what comes before it is start-up. `str` gives the line.

    Args:
      description: What is being done, e.g. "aligned"; begins the bar and every line.
      total: Number of items; None if unknown.
      unit: Name of one item in the singular; "B" (bytes) is shown in kB, MB or GB.
      delay: Seconds during which nothing is shown, so that short work stays silent.

    Attributes:
      note: Text at the end of the bar and of every line, e.g. "3 quarantined".
      completed: Number of completed items.
      total: Number of items; None if unknown.
    """

    def __init__(self, description: str, total: int | None, unit: str, *, delay: float = 0.0):
        self.note = ""
        self.completed, self.total = 0, total
        self._description, self._unit, self._delay = description, unit, delay
        self._bar = tqdm.tqdm(
            desc=description,
            total=total,
            unit=unit,
            unit_scale=unit == _BYTE,
            delay=delay,
            disable=not sys.stderr.isatty(),
        )
        self._first: tuple[int, float] | None = None  # Items and time of the first update.
        self._now = self._last_line = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def update(self, count: int = 1) -> None:
        """Records that more items are complete, and shows it if that is due.

        Args:
          count: Items since the last update.
        """
        self.update_to(self.completed + count)

    def update_to(self, completed: int, total: int | None = None) -> None:
        """Records how many items are complete by now, and shows it if that is due.

        Args:
          completed: All items that are complete.
          total: Number of items, where that has only become known; None: as before.
        """
        self._now = time.monotonic()
        if self._first is None:
            self._first, self._last_line = (completed, self._now), self._now
        self.completed = completed
        self.total = self.total if total is None else total
        if not self._bar.disable:
            self._bar.total = self.total
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(completed - self._bar.n)
        else:
            last = completed == self.total and self._now - self._first[1] >= self._delay
            if last or self._now - self._last_line >= _SECONDS_PER_LINE:
                self._last_line = self._now
                print(self, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends the bar; does nothing if it has ended."""
        self._bar.close()

    def __str__(self) -> str:
        total = "" if self.total is None else f" of {self._amount(self.total)}"
        units = "" if self._unit == _BYTE else f" {self._unit}s"
        parts = [f"{self._description} {self._amount(self.completed)}{total}{units}".strip()]
        count, start = self._first or (0, self._now)
        if self._now > start and self.completed > count:
            rate = (self.completed - count) / (self._now - start)
            parts.append(f"{self._amount(rate, digits=2)}{units}/s")
            if self.total is not None and self.completed < self.total:
                left = tqdm.tqdm.format_interval((self.total - self.completed) / rate)
                parts.append(f"{left} left")
        return ", ".join([*parts, *filter(None, [self.note])])

    def _amount(self, count: float, digits: int = 0) -> str:
        if self._unit == _BYTE:
            return tqdm.tqdm.format_sizeof(count, _BYTE)
        return f"{count:.{digits}f}"


def track(
    items: Iterable[Item], description: str, unit: str, total: int | None = None
) -> Iterator[Item]:
    """Passes items through and shows the progress of whoever consumes them.

    Args:
      items: What is iterated over; each counts as complete when the next one is asked for.
      description: Description of the work, as in Progress.
      unit: Unit of the count, as in Progress.
      total: Number of items; None: their length, if they have one.

    Yields:
      The items.
    """
    total = len(items) if total is None and isinstance(items, Collection) else total
    with Progress(description, total, unit) as progress:
        for item in items:
            yield item
            progress.update()


def write(text: str, file: TextIO | None = None) -> None:
    """Prints a line above whatever bar is shown.

    Args:
      text: The line, without its end.
      file: File to print to; None: stdout.
    """
    tqdm.tqdm.write(text, file=file)
    (file or sys.stdout).flush()
