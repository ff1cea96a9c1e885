"""What a study's page is told and what it may do: in order, after both videos, once, as oneself."""

import json

import pytest

from s2f_jax.apps.study.document import FROZEN, REAL
from s2f_jax.apps.study.limits import StudyLimits
from s2f_jax.apps.study.room import StudyService
from tests.s2f_jax.apps.voters import ORIGIN, SECONDS, served


@pytest.fixture
def visit(tmp_path):
    with served(tmp_path, catches=2, clips=4, participants=8) as visit:
        yield visit


@pytest.fixture
def page(visit):
    page = visit()
    page.join()
    return page


def refused(answer, status, why):
    assert (answer.status_code, answer.json()["why"]) == (status, why), answer.text
    return answer.json()["error"]


def stored(visit):
    return [(vote.trial, vote.choice) for vote in visit.store.read_all()[1]]


def test_somebody_votes_on_every_trial_in_order_and_has_finished(visit, page):
    for trial in range(6):
        reply = page.show()
        assert reply["number"] == trial and len(reply["videos"]) == 2
        assert len(reply["next"]) == (2 if trial < 5 else 0)
        visit.clock.now += 7
        progress = page.vote(trial, "right", (1, 1)).json()
        assert progress == {"code": page.code, "answered": trial + 1, "trials": 6}
    assert page.show() == {"finished": True}
    (who,), votes, _ = visit.store.read_all()
    assert who.finished is not None and len(votes) == 6
    assert {(vote.choice, vote.plays, vote.ms) for vote in votes} == {("right", (1, 1), 7000)}


@pytest.mark.parametrize(
    ("passed", "plays", "ms", "counted"),
    [
        (2 * SECONDS, (1, 1), 6000, True),
        (2 * SECONDS, (1, 1), 3000, False),  # What the page says is too short,
        (SECONDS, (1, 1), 6000, False),  # or our own clock says so.
        (2 * SECONDS, (2, 1), 6000, False),  # A replay takes time as well.
        (3 * SECONDS, (2, 1), 9000, True),
        (2 * SECONDS, (1, 0), 6000, False),
        (2 * SECONDS, (0, 0), 6000, False),
        (2 * SECONDS, (-1, 3), 6000, False),
        (2 * SECONDS, (1,), 6000, False),
        (2 * SECONDS, (1, 1), 60_000, False),  # Longer than it was open.
    ],
)
def test_a_vote_counts_after_both_videos_were_played_in_full(
    visit, page, passed, plays, ms, counted
):
    page.show()
    visit.clock.now += passed
    answer = page.vote(0, plays=plays, ms=ms)
    assert (answer.status_code == 200) is counted
    assert stored(visit) == ([(0, "left")] if counted else [])
    if not counted:
        assert answer.status_code == 409


def test_a_trial_that_was_not_shown_has_no_vote(visit, page):
    visit.clock.now += 100
    assert "play the videos once more" in refused(page.vote(0), 409, "again")
    page.show()
    visit.clock.now += 100
    assert "has to be answered before trial 2" in refused(page.vote(1), 409, "again")
    refused(page.vote(6), 409, "refused")
    assert stored(visit) == []


def test_a_vote_on_videos_that_were_never_loaded_does_not_count(visit, page):
    shown = page.ask("show", code=page.code)
    visit.clock.now += 10
    for name in (None, shown["videos"][0]):  # None of them, then one of two.
        if name:
            page.client.get(f"/video/{name}")
        assert "have not been loaded" in refused(page.vote(0), 409, "again")
    page.client.get(f"/video/{shown['videos'][1]}")
    assert page.vote(0).status_code == 200


def test_videos_that_were_loaded_while_the_trial_before_was_shown_count(visit, page):
    page.show()
    visit.clock.now += 7
    page.vote(0)
    page.ask("show", code=page.code)  # The browser has what was named as next.
    visit.clock.now += 7
    assert page.vote(1).status_code == 200


def test_showing_a_trial_again_neither_moves_on_nor_begins_its_time_anew(visit, page):
    first = page.show()
    visit.clock.now += 6
    assert page.show() == first
    assert page.vote(0, ms=6000).status_code == 200


def test_the_same_vote_again_changes_nothing_and_another_one_is_refused(visit, page):
    page.show()
    visit.clock.now += 7
    answers = [page.vote(0).json() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2] and stored(visit) == [(0, "left")]
    error = refused(page.vote(0, "right"), 409, "refused")
    assert "already answered with 'left'" in error and stored(visit) == [(0, "left")]


def test_the_last_vote_again_is_one_vote(visit, page):
    for _ in range(6):
        page.watch_and_vote()
    assert page.vote(5).json()["answered"] == 6 and len(stored(visit)) == 6


def test_who_comes_back_goes_on_where_they_were_in_another_browser(visit, page):
    page.watch_and_vote()
    page.watch_and_vote()
    other = visit()
    other.code = page.code
    typed = page.code.lower().replace("-", " \N{EN DASH} ")
    assert other.ask("resume", code=f" {typed} ")["answered"] == 2
    assert other.show()["number"] == 2


@pytest.mark.parametrize("code", ["", "caf\xe9", "\ud800", "\x00", "x" * 2000])
def test_a_code_that_is_nobody_s_is_told_whatever_it_is(page, code):
    for path in ("resume", "show", "withdraw"):
        body = json.dumps({"code": code}).encode()
        answer = page.client.post(f"/api/{path}", content=body, headers=ORIGIN)
        assert "check it" in refused(answer, 404, "code")


def test_who_agrees_twice_for_lack_of_an_answer_is_one_person(visit):
    codes = [visit().join("a" * 32)["code"] for _ in range(2)] + [visit().join("b" * 32)["code"]]
    assert codes[0] == codes[1] != codes[2] and len(visit.store.read_all()[0]) == 2


def test_who_withdraws_is_gone_and_so_are_their_videos(visit, page):
    name = page.show()["videos"][0]
    visit.clock.now += 7
    page.vote(0)
    assert page.ask("withdraw", code=page.code) == {"withdrawn": True}
    assert visit.store.read_all() == ([], [], 1)
    refused(page.post("resume", code=page.code), 404, "code")
    assert "or it was deleted already" in refused(
        page.post("withdraw", code=page.code), 404, "code"
    )
    refused(page.client.get(f"/video/{name}"), 404, "code")


def test_a_page_is_told_neither_methods_nor_catch_pairs_nor_anybody_elses_code(visit, page):
    other = visit()
    other.join("o" * 32)
    texts, names = [page.client.get("/api/study").text], set()
    for trial in range(6):
        answer = page.post("show", code=page.code)
        assert answer.json().keys() == {"number", "videos", "next"}
        assert answer.json()["number"] == trial
        names |= {*answer.json()["videos"]}
        page.show()
        visit.clock.now += 7
        texts += [answer.text, page.vote(trial).text]
    text = "".join(texts)
    assert len(names) == 12 and other.code not in text
    secrets = {"ours", "base", REAL, FROZEN, "catch", "clip", "x0", "sha256", visit.made.sha256}
    secrets |= {*visit.made.pairs} | {v.name for p in visit.made.pairs.values() for v in (p.a, p.b)}
    without_question = text.replace(json.dumps(visit.made.question), "")
    assert [s for s in secrets if f'"{s}' in without_question or f"/{s}" in without_question] == []


def test_videos_are_those_of_the_trial_from_left_to_right(visit, page):
    who = visit.store.find(page.code)
    for trial in visit.made.trials(who.trial_list):
        shown = page.show()
        bodies = [page.client.get(f"/video/{name}").text for name in shown["videos"]]
        assert bodies == [f"the bytes of {video.name}" for video in trial.videos]
        visit.clock.now += 7
        page.vote(shown["number"])


def test_a_video_comes_in_ranges_and_tells_nothing_of_its_file(visit, page):
    headers = []
    for name in page.show()["videos"]:
        answer = page.client.get(f"/video/{name}", headers={"range": "bytes=4-8"})
        assert answer.status_code == 206 and answer.content == b"bytes"
        assert answer.headers["content-type"] == "video/mp4"
        assert answer.headers.pop("etag") == f'"{name}"'
        headers.append(dict(answer.headers))
    assert headers[0] == headers[1]


def test_the_same_video_has_other_names_for_others_and_old_names_end(visit, page):
    other = visit()
    other.join("o" * 32)
    mine, theirs = page.show(), other.show()
    assert not {*mine["videos"], *mine["next"]} & {*theirs["videos"], *theirs["next"]}
    assert page.watch_and_vote().status_code == 200
    assert page.show()["videos"] == mine["next"]
    refused(page.client.get(f"/video/{mine['videos'][0]}"), 404, "code")


@pytest.mark.parametrize(
    "path",
    ["/study.json", "/../study.json", "/%2e%2e/study.json", "/votes.sqlite", "/videos/v000.mp4",
     "/video/v000", "/video/..%2f..%2fstudy.json", "/video/", "/static/study/app.js"],
)  # fmt: skip
def test_no_path_leads_to_the_studys_own_files(page, path):
    page.show()
    assert page.client.get(path).status_code == 404


def test_markup_in_a_studys_texts_is_text(tmp_path):
    markup = "<img src=x onerror='broken()'>"
    with served(tmp_path, question=markup, consent=markup) as visit:
        answer = visit().client.get("/api/study")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["question"] == answer.json()["consent"] == markup


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b'"text"', b"[" * 3000, b'{"code": 7}',
     b'{"code": null}', b'{"code": ["a"]}'],
)  # fmt: skip
@pytest.mark.parametrize("path", ["join", "resume", "show", "vote", "withdraw"])
def test_what_no_page_says_is_refused(page, path, body):
    answer = page.client.post(f"/api/{path}", content=body, headers=ORIGIN)
    refused(answer, 400, "malformed")


@pytest.mark.parametrize(
    "field",
    [{"trial": "0"}, {"trial": -1}, {"trial": 0.5}, {"trial": True}, {"trial": 2**40}, {"ms": -1},
     {"ms": None}, {"plays": 2}, {"plays": "11"}, {"plays": [1, "1"]}, {"plays": [True, 1]},
     {"choice": 1}, {"choice": ["left"]}],
)  # fmt: skip
def test_a_vote_of_odd_values_is_refused(visit, page, field):
    page.show()
    visit.clock.now += 10
    vote = {"code": page.code, "trial": 0, "choice": "left", "plays": [1, 1], "ms": 7000}
    refused(page.post("vote", **vote | field), 400, "malformed")
    refused(page.post("vote", **vote | {"choice": "'; DROP TABLE votes"}), 409, "refused")
    assert stored(visit) == []


def test_a_body_that_is_too_large_is_refused(page):
    refused(page.post("resume", code="x" * 5000), 413, "large")


def test_another_origin_changes_nothing(visit, page):
    for origin in ({"origin": "http://evil.example"}, {}):
        message = {"code": page.code}
        assert page.client.post("/api/withdraw", json=message, headers=origin).status_code == 403
    assert len(visit.store.read_all()[0]) == 1
    for path in ("join", "resume", "show", "vote", "withdraw"):
        assert page.client.get(f"/api/{path}").status_code in (404, 405)


def test_a_full_house_is_told_and_the_silent_make_place(tmp_path):
    with served(tmp_path, StudyLimits(people=2, idle_seconds=60), participants=8) as visit:
        first, second, third = visit(), visit(), visit()
        first.join("a" * 32)
        second.join("b" * 32)
        error = refused(third.post("join", key="c" * 32), 503, "full")
        assert error.startswith("All 2 places of this study are taken:")
        assert len(visit.store.read_all()[0]) == 2  # Nobody's slot was spent.
        visit.clock.now += 40
        second.show()
        visit.clock.now += 30
        third.join("c" * 32)
        refused(first.post("resume", code=first.code), 503, "full")
        assert second.vote(0, ms=30_000).status_code == 200


def test_who_has_finished_gives_their_place_to_another(tmp_path):
    with served(tmp_path, StudyLimits(people=1), clips=1) as visit:
        first, second = visit(), visit()
        first.join("a" * 32)
        refused(second.post("join", key="b" * 32), 503, "full")
        first.watch_and_vote()
        assert first.show() == {"finished": True}
        assert first.ask("resume", code=first.code)["answered"] == 1
        second.join("b" * 32)


def test_a_study_without_a_free_slot_says_so(tmp_path):
    with served(tmp_path, participants=1) as visit:
        visit().join("a" * 32)
        error = refused(visit().post("join", key="b" * 32), 409, "refused")
    assert "this study is full: it was planned for 1 participants" in error


def test_whose_place_was_given_on_is_told_and_may_begin_anew(tmp_path):
    with served(tmp_path, participants=1) as visit:
        first, second = visit(), visit()
        first.join("a" * 32)
        first.show()
        visit.clock.now += 4000
        past = "UPDATE participants SET consented = '2026-01-01T00:00:00+00:00'"
        visit.store._db.execute(past)
        second.join("b" * 32)
        assert "within an hour" in refused(first.vote(0), 404, "code")
        assert "begin anew" in refused(first.post("resume", code=first.code), 404, "code")
        assert second.watch_and_vote().status_code == 200
        visit.store._db.execute(past)
        refused(first.post("join", key="c" * 32), 409, "refused")  # Who has voted keeps theirs.


def test_the_same_key_after_the_server_began_anew_is_the_same_person(visit):
    first = visit().join("a" * 32)
    service = StudyService(visit.made, visit.store, StudyLimits())
    assert service.join("a" * 32, "").code == first["code"] and len(visit.store.read_all()[0]) == 1


def test_a_class_behind_one_address_gets_in_and_a_flood_does_not(tmp_path):
    with served(tmp_path, participants=200) as visit:
        page = visit()
        answers = [page.post("join", key=f"{n:032}").status_code for n in range(100)]
    assert answers == [200] * 60 + [429] * 40


def test_who_asks_too_often_waits_and_others_do_not(tmp_path):
    with served(tmp_path, StudyLimits(requests_per_minute=10), participants=8) as visit:
        first, second = visit(), visit()
        first.join("a" * 32)
        second.join("b" * 32)
        answers = [first.post("show", code=first.code) for _ in range(12)]
        refused(answers[-1], 429, "often")
        assert answers[-1].headers["retry-after"] == "6"
        assert second.show()["number"] == 0
        visit.clock.now += 6
        assert first.ask("show", code=first.code)["number"] == 0


def test_who_guesses_codes_waits_and_who_has_one_does_not(tmp_path):
    with served(tmp_path, StudyLimits(arrivals_per_minute=10), participants=8) as visit:
        page = visit()
        page.join()
        guesses = [page.post("resume", code="AAAA-BBBB-CCCC-DDDD") for _ in range(10)]
        refused(guesses[0], 404, "code")
        refused(guesses[-1], 429, "often")
        refused(page.post("join", key="b" * 32), 429, "often")
        assert page.show()["number"] == 0


def test_a_turing_test_shows_one_video(tmp_path):
    with served(tmp_path, kind="turing", clips=2, participants=8) as visit:
        page = visit()
        page.join()
        shown = page.show()
        assert len(shown["videos"]) == 1 and len(shown["next"]) == 1
        visit.clock.now += SECONDS
        assert page.vote(0, "generated", (1,), 3000).status_code == 200
