"""Who sees what: balanced over any eight people in a row, and as the rule in study.json says."""

import collections
import hashlib

import pytest

from s2f_jax.apps.study import design

PAIRS = [f"p{i:02}" for i in range(12)]


def slots(count, pairs=PAIRS, catches=(), parts=1, seed=3):
    compared = [pairs] if isinstance(pairs[0], str) else pairs
    return [design.trial_list(seed, compared, catches, parts, number) for number in range(count)]


@pytest.mark.parametrize("parts", design.PARTS)
@pytest.mark.parametrize("count", [1, 4, 5, 12])
@pytest.mark.parametrize("catches", [(), ("c1", "c2", "c3")])
def test_over_any_eight_people_in_a_row_each_pair_has_each_side_equally_often(
    parts, count, catches
):
    found = slots(40, PAIRS[:count], catches, parts)
    for first in range(33):
        seen = collections.Counter(entry for slot in found[first : first + 8] for entry in slot)
        for pair in PAIRS[:count]:
            assert seen[pair + "a"] == seen[pair + "b"] == 4 // parts
        for catch in catches:
            assert seen[catch + "a"] == seen[catch + "b"] == 4


@pytest.mark.parametrize("parts", design.PARTS)
def test_nobody_sees_a_pair_twice_and_all_see_as_many(parts):
    for slot in slots(40, parts=parts):
        assert len({entry[:-1] for entry in slot}) == len(slot) == 12 // parts


@pytest.mark.parametrize("parts", design.PARTS)
def test_parts_share_nothing_and_leave_nothing_out(parts):
    found = [{entry[:-1] for entry in slot} for slot in slots(parts, parts=parts)]
    assert set.union(*found) == set(PAIRS) and sum(map(len, found)) == len(PAIRS)


@pytest.mark.parametrize("parts", [1, 2])
def test_each_person_has_each_letter_equally_often(parts):
    """What makes half of a participant's videos real, and no method stand on one side."""
    for slot in slots(24, parts=parts):
        letters = collections.Counter(entry[-1] for entry in slot)
        assert letters["a"] == letters["b"]


def test_each_comparison_of_three_methods_is_balanced_by_itself():
    compared = [[f"{two}{i}" for i in range(6)] for two in ("xy", "xz", "yz")]
    for slot in slots(16, compared, parts=2):
        for two in ("xy", "xz", "yz"):
            of_two = [entry for entry in slot if entry.startswith(two)]
            assert len(of_two) == 3 and {entry[-1] for entry in of_two} == {"a", "b"}


def test_orders_differ_and_each_pair_comes_first_about_as_often():
    found = slots(1200)
    assert len({tuple(entry[:-1] for entry in slot) for slot in found}) == 1200
    first = collections.Counter(slot[0][:-1] for slot in found)
    assert all(70 <= first[pair] <= 130 for pair in PAIRS)  # 100 each; 3 standard deviations.


def test_sides_do_not_follow_a_pair_s_name_or_its_neighbours():
    """Over seeds, two pairs are on the same side in half of the cases: (n / 2 - 1) / (n - 1) of 12."""
    same = 0
    for seed in range(400):
        letters = {entry[:-1]: entry[-1] for entry in design.trial_list(seed, [PAIRS], [], 1, 0)}
        same += letters["p00"] == letters["p01"]
    assert same / 400 == pytest.approx(5 / 11, abs=0.075)


def test_the_same_seed_gives_the_same_and_another_one_another():
    assert slots(8, seed=1) == slots(8, seed=1) != slots(8, seed=2)


def test_a_person_with_the_rule_alone_finds_the_same_slot():
    """Slot 13 of two parts: part 1, visit 6 mod 4 = 2, even, the second half."""

    def drawn(names, key):
        return sorted(names, key=lambda n: hashlib.sha256(f"5/{key}/{n}".encode()).hexdigest())

    part = drawn(PAIRS, "part")[1::2]
    half = drawn(part, "half/1/1")[:3]
    letters = {name: "a" if name in half else "b" for name in part}
    caught = drawn(["c1", "c2"], "half/catch/2")[:1]  # Visit 13 mod 8 = 5, odd.
    letters |= {name: "b" if name in caught else "a" for name in ("c1", "c2")}
    expected = [name + letters[name] for name in drawn([*letters], "order/13")]
    assert design.trial_list(5, [PAIRS], ["c1", "c2"], 2, 13) == expected
