"""What votes that were made by hand come to."""

import pytest

from data_pipelines.common.errors import UserError
from s2f_jax.apps.study import ballots, findings, store
from s2f_jax.apps.study.document import ExclusionRule
from tests.s2f_jax.apps.study import made_up


def found(made):
    return findings.analyze(ballots.read_results(made.folder))


def test_the_paper_s_survey(tmp_path):
    """30 people, 30 pairs, 718 votes for the model: 79.78 % [77.0, 82.4]."""
    order = iter(range(900))

    def choose(person, trial):
        return made_up.prefer("ours" if next(order) < 718 else "base")(person, trial)

    report = found(made_up.study_with_votes(tmp_path, choose, 30, clips=30, participants=32))
    (compared,) = report["main"]["comparisons"]
    assert (compared["a"], compared["b"]) == ("ours", "base")
    assert (compared["wins"], compared["votes"], compared["participants"]) == (718, 900, 30)
    assert f"{100 * compared['share']:.2f}" == "79.78"
    assert [f"{100 * bound:.1f}" for bound in compared["exact"]] == ["77.0", "82.4"]
    assert report["main"]["user"]["ours"]["wins"] == 718
    assert report["main"]["user"]["base"]["wins"] == 182
    assert report["main"]["comparisons"] == report["everyone"]["comparisons"]
    assert [of["wins"] for of in compared["voters"]] == [30] * 23 + [28] + [0] * 6
    assert sum(of["wins"] for of in compared["pairs"]) == 718


def test_a_voter_who_always_takes_the_left_is_seen_as_that(tmp_path):
    report = found(made_up.study_with_votes(tmp_path, lambda person, trial: "left", 8))
    (compared,) = report["everyone"]["comparisons"]
    assert compared["share"] == 0.5  # Sides are balanced, so that it favours nobody.
    assert compared["sides"]["left"]["share"] == 1 and compared["sides"]["right"]["share"] == 0
    assert report["everyone"]["left"]["share"] == 1
    assert report["participants"]["reasons"] == {"always chose the same side": 8}
    assert report["participants"]["counted"] == 0
    assert report["main"]["comparisons"][0]["share"] is None


def test_each_pair_s_own_share_and_agreement(tmp_path):
    """Six prefer ours; two prefer it in the first clip alone."""

    def choose(person, trial):
        wins = person < 6 or trial.pair.a.clip == "clip0"
        return made_up.prefer("ours" if wins else "base")(person, trial)

    main = found(made_up.study_with_votes(tmp_path, choose, 8))["main"]
    (compared,) = main["comparisons"]
    assert [(of["clip"], of["wins"], of["votes"]) for of in compared["pairs"]] == [
        ("clip0", 8, 8), ("clip1", 6, 8), ("clip2", 6, 8), ("clip3", 6, 8)
    ]  # fmt: skip
    # Of 28 pairs of voters: all, and three times 15 + 1.
    assert main["agreement"]["pairs"] == pytest.approx((28 + 3 * 16) / (4 * 28))


def test_who_is_left_out_is_so_by_the_rule_and_counted_with_the_reason(tmp_path):
    """0: nothing wrong; 1: fooled by one still; 2: the left throughout; 3: stopped; 4: only began."""
    made = made_up.study(tmp_path, catches=2)

    def choose(person, trial):
        if person == 2:
            return "left"
        side = made_up.prefer("ours")(person, trial)
        fooled = person == 1 and trial.pair.name == "c1"
        return {"left": "right", "right": "left"}[side] if fooled else side

    with store.Store(made) as opened:
        made_up.answer(opened, made, choose, 3)
        made_up.answer(opened, made, lambda person, trial: made_up.prefer("base")(0, trial), 1, 3)
        opened.register()
    report = found(made)
    people = report["participants"]
    assert (people["began"], people["finished"], people["counted"]) == (5, 3, 1)
    assert people["reasons"] == {
        "did not finish": 2,
        "failed catch pairs": 2,  # The left video was a still one for 2, too.
        "always chose the same side": 1,
    }
    assert report["main"]["comparisons"][0]["wins"] == report["main"]["votes"] == 4
    assert report["main"]["catches"] == {"passed": 2, "votes": 2}
    assert report["everyone"]["comparisons"][0]["participants"] == 4
    assert report["everyone"]["votes"] == 3 * 4 + report["everyone"]["comparisons"][0]["votes"] - 12


def test_the_rule_of_the_file_is_what_counts(tmp_path):
    """One fails one of two catch pairs."""

    def fooled_once(person, trial):
        if trial.pair.name == "c2":
            return "left" if trial.videos[0].method == "frozen" else "right"
        return made_up.prefer("ours")(person, trial)

    for failed, counted in ((1, 0), (2, 1), (0, 1)):
        rule = ExclusionRule(failed, True, True)
        made = made_up.study_with_votes(
            tmp_path / str(failed), fooled_once, 1, catches=2, exclusion=rule
        )
        assert found(made)["participants"]["counted"] == counted


def test_catch_pairs_are_in_no_figure(tmp_path):
    made = made_up.study_with_votes(tmp_path, made_up.prefer("ours"), 8, catches=3)
    main = found(made)["main"]
    assert main["votes"] == main["comparisons"][0]["votes"] == main["left"]["votes"] == 32
    assert len(main["comparisons"][0]["pairs"]) == 4


def test_three_methods_are_compared_two_by_two(tmp_path):
    """x before y before z."""

    def choose(person, trial):
        left, right = (video.method for video in trial.videos)
        return "left" if left < right else "right"

    main = found(made_up.study_with_votes(tmp_path, choose, 8, methods=("y", "x", "z")))["main"]
    assert [(of["a"], of["b"], of["share"]) for of in main["comparisons"]] == [
        ("y", "x", 0), ("y", "z", 1), ("x", "z", 1)
    ]  # fmt: skip
    assert {m: of["share"] for m, of in main["user"].items()} == {"y": 0.5, "x": 1, "z": 0}


def test_a_turing_test_s_rates_by_hand(tmp_path):
    """Of 4 real and 4 generated videos for each of 8 people: real ones are known, of the generated
    ones those of clip 0 and 1 pass."""

    def choose(person, trial):
        shown = trial.videos[0]
        passes = shown.method == "real" or shown.clip in ("clip0", "clip1")
        return "real" if passes else "generated"

    report = found(made_up.study_with_votes(tmp_path, choose, 8, kind="turing", clips=8))
    main = report["main"]
    assert main["hits"]["share"] == 1 and main["hits"]["votes"] == 32
    assert main["false_alarms"]["wins"] == 8 and main["false_alarms"]["votes"] == 32
    assert main["correct"]["wins"] == 56 and main["correct"]["votes"] == 64
    # z(32.5 / 33) - z(8.5 / 33) = 2.166 + 0.650, of a table of the normal distribution.
    assert main["d_prime"]["d"] == pytest.approx(2.166 + 0.650, abs=2e-3)
    by_clip = {of["clip"]: (of["real"]["share"], of["generated"]["share"]) for of in main["clips"]}
    assert by_clip == {f"clip{i}": (1, float(i < 2)) for i in range(8)}
    assert main["agreement"] == {"pairs": 1, "kappa": 1}


def test_guessing_real_every_time_is_no_reason_to_be_left_out(tmp_path):
    made = made_up.study_with_votes(
        tmp_path, lambda person, trial: "real", 8, kind="turing", clips=8
    )
    report = found(made)
    assert report["participants"]["counted"] == 8
    assert report["main"]["correct"]["share"] == 0.5
    assert report["main"]["d_prime"]["d"] == pytest.approx(0)
    assert report["main"]["d_prime"]["criterion"] < -2


def test_the_time_of_a_vote_and_what_was_played_again(tmp_path):
    made = made_up.study(tmp_path)
    with store.Store(made) as opened:
        who = opened.register()
        for trial, (ms, plays) in enumerate([(1000, 1), (2000, 1), (4000, 2), (9000, 5)]):
            opened.add_vote(who.code, trial, "left" if trial else "right", [1, plays], ms)
    main = found(made)["main"]
    assert main["seconds"]["median"] == 3 and main["played_again"] == 2 / 8


def test_power_is_of_the_effective_votes(tmp_path):
    """All of one voter's votes are alike: 8 people's 32 votes tell no more than 8 could."""
    made = made_up.study_with_votes(
        tmp_path, lambda p, t: made_up.prefer("ours" if p < 6 else "base")(p, t)
    )
    (power,) = found(made)["power"]
    # p (1 - p) over its variance between people: 7 of 8.
    assert power["votes"] == 32 and power["effective"] == pytest.approx(7)
    assert 0.9 < power["detects"] < 1


def test_who_withdrew_is_counted_and_nothing_else(tmp_path):
    made = made_up.study(tmp_path)
    with store.Store(made) as opened:
        codes = made_up.answer(opened, made, made_up.prefer("ours"), 3)
        opened.withdraw(codes[1])
    report = found(made)
    assert report["participants"]["began"] == 3 and report["participants"]["withdrawn"] == 1
    assert report["main"]["votes"] == 8


@pytest.mark.parametrize(("votes", "left_out"), [(1, 0), (7, 0), (8, 1), (9, 1), (10, 1)])
def test_the_same_side_of_few_votes_may_be_chance(tmp_path, votes, left_out):
    rule = ExclusionRule(0, unfinished=False, one_side=True)
    made = made_up.study(tmp_path, clips=10, exclusion=rule)
    with store.Store(made) as opened:
        made_up.answer(opened, made, lambda person, trial: "left", 1, votes)
    assert len(ballots.read_results(made.folder).participants[0].exclusion_reasons) == left_out


def test_a_study_that_nobody_voted_in_is_told(tmp_path):
    made = made_up.study(tmp_path)
    with pytest.raises(UserError, match="has no votes yet; run `s2f study serve` first"):
        ballots.read_results(made.folder)
    assert not store.exists(made)  # To ask is not to begin.
    with store.Store(made) as opened:
        opened.withdraw(opened.register().code)
        opened.register()
    with pytest.raises(UserError, match="1 have begun, 1 have withdrawn"):
        ballots.read_results(made.folder)


def test_a_study_that_was_changed_after_its_votes_is_told(tmp_path):
    made_up.study_with_votes(tmp_path, made_up.prefer("ours"), 2)
    made = made_up.study(tmp_path, question="Which one is ours?")
    with pytest.raises(UserError, match="was changed after people had begun to take part"):
        ballots.read_results(made.folder)
