"""The kinds of failure that are not bugs."""


class UserError(Exception):
    """A person's mistake: one sentence with the offending value and the cure; exit code 2."""


class BadClip(Exception):
    """A raw clip that cannot become an example; the message is the reason to report."""


class TrainingFailed(Exception):
    """A loss that is not finite: which term, at which step, on which clips; exit code 1."""
