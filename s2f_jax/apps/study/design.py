"""Who sees what, where and when: a function of the seed and the participant's slot alone.

Everything is drawn by sorting names by their SHA-256, so that anybody can draw it again in any
language (RULE says how).
"""

import hashlib
from collections.abc import Sequence

PERIOD = 8  # Participants, after which parts and sides begin anew.
PARTS = (1, 2, 4)  # Of the pairs, of which a participant sees one; 4 are seen twice a period.
RULE = (
    "'Drawn by K' means: sorted by the hexadecimal SHA-256 of the text 'SEED/K/NAME'. The pairs of"
    " each two methods, drawn by 'part', are dealt to the parts in turn. Slot S sees part S mod PARTS,"
    " on visit V = (S div PARTS) mod (8 div PARTS). Of the part's pairs, drawn by"
    " 'half/PART/(V div 2)', the first half (rounded down) has the letter a if V is even and b if it"
    " is odd, all others the other letter. Catch pairs are a part 'catch' of their own, visit S mod 8."
    " The order is that of all names, drawn by 'order/S'. Over any 8 slots in a row each pair has each"
    " letter equally often."
)


def slot(
    seed: int, comparisons: Sequence[Sequence[str]], catches: Sequence[str], parts: int, number: int
) -> list[str]:
    """What the slot of this number (0, 1, ...) sees, in order: names of pairs, each with a letter.

    comparisons: the names of the pairs of each two methods. parts: of PARTS. The letter says which
    of a pair is on the left or, where one alone is shown, which it is.
    """
    part, visit = number % parts, number // parts % (PERIOD // parts)
    letters = {}
    for names in comparisons:
        of_part = drawn(names, seed, "part")[part::parts]
        letters |= _letters(of_part, seed, str(part), visit)
    letters |= _letters(catches, seed, "catch", number % PERIOD)
    return [name + letters[name] for name in drawn([*letters], seed, f"order/{number}")]


def drawn(names: Sequence[str], seed: int, key: str) -> list[str]:
    """The names in an order that looks like chance, and is the same for the same seed and key."""
    return sorted(names, key=lambda n: hashlib.sha256(f"{seed}/{key}/{n}".encode()).hexdigest())


def _letters(names: Sequence[str], seed: int, part: str, visit: int) -> dict[str, str]:
    """Visits 2k and 2k + 1 are each other's opposite."""
    half = set(drawn(names, seed, f"half/{part}/{visit // 2}")[: len(names) // 2])
    return {name: "ab"[(name in half) == (visit % 2 == 1)] for name in names}
