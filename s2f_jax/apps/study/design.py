"""The design of a study: which pairs each participant sees, in which order, on which side.

It is a function of the seed and of the index of the participant's trial list alone. Everything is
shuffled by sorting names by their SHA-256, so that it can be reproduced in any language (RULE says
how).
"""

import hashlib
from collections.abc import Sequence

PERIOD = 8  # Trial lists after which parts and sides repeat.
# Allowed numbers of parts of the pairs, of which a participant sees one. With 4, each part is seen by
# two participants a period.
PARTS = (1, 2, 4)
# Stored in study.json, whose word for a trial list is "slot".
RULE = (
    "'Shuffled by K' means: sorted by the hexadecimal SHA-256 of the text 'SEED/K/NAME'. The pairs of"
    " each two methods, shuffled by 'part', are dealt to the parts in turn. Slot S sees part S mod"
    " PARTS, on visit V = (S div PARTS) mod (8 div PARTS). Of the part's pairs, shuffled by"
    " 'half/PART/(V div 2)', the first half (rounded down) has the letter a if V is even and b if it"
    " is odd, all others the other letter. Catch pairs are a part 'catch' of their own, visit S mod 8."
    " The order is that of all names, shuffled by 'order/S'. Over any 8 slots in a row each pair has"
    " each letter equally often."
)


def trial_list(
    seed: int,
    comparisons: Sequence[Sequence[str]],
    catch_pairs: Sequence[str],
    parts: int,
    index: int,
) -> list[str]:
    """Makes the trial list of one participant.

    Args:
      seed: Seed of the study.
      comparisons: Names of the pairs, grouped by the two methods they compare.
      catch_pairs: Names of the catch pairs.
      parts: Number of parts of the pairs; one of PARTS.
      index: Index of the trial list, from 0.

    Returns:
      Names of pairs in the order of the trials, each with a letter: which video of the pair is on the
      left or, where one alone is shown, which it is.
    """
    part, visit = index % parts, index // parts % (PERIOD // parts)
    letters = {}
    for names in comparisons:
        names_of_part = shuffled(names, seed, "part")[part::parts]
        letters |= _letters(names_of_part, seed, str(part), visit)
    letters |= _letters(catch_pairs, seed, "catch", index % PERIOD)
    return [name + letters[name] for name in shuffled([*letters], seed, f"order/{index}")]


def shuffled(names: Sequence[str], seed: int, key: str) -> list[str]:
    """Shuffles names reproducibly.

    Args:
      names: Different names.
      seed: Seed of the study.
      key: Tells apart what is shuffled with the same seed.

    Returns:
      The names in an order that is the same for the same seed and key.
    """
    return sorted(names, key=lambda n: hashlib.sha256(f"{seed}/{key}/{n}".encode()).hexdigest())


def _letters(names: Sequence[str], seed: int, part: str, visit: int) -> dict[str, str]:
    # Visits 2k and 2k + 1 are each other's opposite, which balances the sides.
    half = set(shuffled(names, seed, f"half/{part}/{visit // 2}")[: len(names) // 2])
    return {name: "ab"[(name in half) == (visit % 2 == 1)] for name in names}
