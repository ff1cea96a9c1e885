"""Findings of `doctor`: one line each, with the remedy where something is wrong."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from data_pipelines.common.errors import BadClip, UserError

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclasses.dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
      level: OK, WARNING or ERROR.
      message: What was found; if something is wrong, a colon and the remedy follow.
      values: The measurements behind it, JSON values.
      topic: One word, what was checked; `run_check` sets it.
    """

    level: str
    message: str
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    topic: str = ""

    def __str__(self) -> str:
        return f"{self.level:8} {self.topic:10} {self.message}"

    @property
    def json(self) -> dict[str, Any]:
        """The finding as an entry of `doctor --json`."""
        return {
            "level": self.level,
            "about": self.topic,
            "said": self.message,
            "values": dict(self.values),
        }


Check = Callable[[], Iterable[Finding]]


def run_check(topic: str, check: Check) -> Iterator[Finding]:
    """Runs a check; that it cannot be completed is a finding itself.

    Args:
      topic: One word, what is checked.
      check: Yields findings without a topic.

    Yields:
      The findings, with the topic.
    """
    try:
        for finding in check():
            yield dataclasses.replace(finding, topic=topic)
    except (UserError, BadClip) as error:
        yield Finding(ERROR, str(error), topic=topic)
    except Exception as error:  # A library that does not work here, or not as this version expects.
        reason = " ".join(str(error).split())[:300]
        yield Finding(ERROR, f"cannot be checked ({type(error).__name__}: {reason})", topic=topic)
