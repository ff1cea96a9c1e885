"""The two kinds of failure that are not bugs."""


class UserError(Exception):
    """A person's mistake: one sentence with the offending value and the cure; exit code 2."""


class BadClip(Exception):
    """A raw clip that cannot become an example; the message is the reason to report."""
