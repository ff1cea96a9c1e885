"""What a run has logged."""

import json


def events(workdir):
    """Of metrics.jsonl, in the order in which they were written."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
