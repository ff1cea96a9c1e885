"""The kinds of failure that are not bugs, and an exit code that is no failure."""

STOPPED = 75  # Exit code of a run that a signal ended after saving: rerun the same command.


class UserError(Exception):
    """A person's mistake: one sentence with the offending value and the cure; exit code 2."""


class BadClip(Exception):
    """A raw clip that cannot become an example; the message is the reason to report."""


class TrainingFailed(Exception):
    """A loss that is not finite, or a checkpoint that cannot be saved; exit code 1."""


class CorruptRecord(UserError):
    """A record of a shard that cannot be read: its number, the shard, the reason, the cure."""


def make_printable(text: object) -> str:
    """Escapes what a terminal would not print.

    The name of a file can contain control characters, which move the cursor or begin a new line,
    or bytes in no encoding.

    Args:
      text: Anything; `str` of it is used.

    Returns:
      The text with escape sequences in place of unprintable characters.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
