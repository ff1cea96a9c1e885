"""What `doctor` finds: one line each, with its cure where something is wrong."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from data_pipelines.common.errors import BadClip, UserError

OK, WARNING, ERROR = "ok", "warning", "error"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: str  # OK, WARNING or ERROR.
    about: str  # One word: what was looked at.
    said: str  # What it is like; what is wrong is followed by a colon and the cure.
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # As JSON keeps them.

    def __str__(self) -> str:
        return f"{self.level:8} {self.about:10} {self.said}"


Check = Callable[[], Iterable[Finding]]


def of(about: str, check: Check) -> Iterator[Finding]:
    """The findings of a check; one that cannot be carried through is a finding itself."""
    try:
        yield from check()
    except (UserError, BadClip) as error:
        yield Finding(ERROR, about, str(error))
    except (ImportError, OSError, RuntimeError) as error:  # A library that does not work here.
        reason = " ".join(str(error).split())[:300]
        yield Finding(ERROR, about, f"cannot be looked at ({type(error).__name__}: {reason})")
