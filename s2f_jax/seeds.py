"""The numbers that a video's spontaneous motion may be drawn from."""

from data_pipelines.errors import UserError

SEEDS = 2**32


def check_seeds(*seeds: int) -> None:
    """Raises UserError for one that is out of range."""
    for seed in seeds:
        if not 0 <= seed < SEEDS:
            raise UserError(f"seed={seed} is out of range: give 0 to 2^32 - 1")
