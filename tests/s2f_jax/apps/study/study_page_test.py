"""A person at a study's page, in headless Chromium."""

import pytest

from s2f_jax.apps.study import document, store
from tests.s2f_jax.apps import browsers
from tests.s2f_jax.apps.browsers import PHONE, WIDE
from tests.s2f_jax.apps.study_served import held, served, study

pytestmark = browsers.MARKS
MARKUP = "<img src=x onerror='document.title=1'> Which one?"
INCOMPLETE = "The video was not played in full with sound: play it again."
SKIP = """async () => {
  const video = document.querySelector('video');
  while (video.currentTime < 0.05) await new Promise((done) => setTimeout(done, 5));
  video.currentTime = video.duration - 0.1;
}"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return study(tmp_path_factory.mktemp("page"), question=MARKUP)


@pytest.fixture(scope="module")
def address(made):
    with served(made) as (_, address):
        yield address


@pytest.fixture(scope="module")
def browser():
    with browsers.launched() as browser:
        yield browser


@pytest.fixture
def opened(browser):
    """A function that opens an address in a browser of its own; none has said anything of errors."""
    contexts, messages = [], []

    def opened(address, size=WIDE):
        page = browsers.new_page(browser, messages, size)
        contexts.append(page.context)
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    # Browsers tell what a server refuses, and that it is not there.
    expected = ("status of 40", "ERR_INTERNET_DISCONNECTED")
    assert [line for line in messages if not any(part in line for part in expected)] == []


def agree(page):
    """-> the code."""
    page.click("#agree")
    page.wait_for_selector("#sound:visible")
    return page.inner_text("#own-code")


def hear(page):
    """Passes the sound check, by saying two until it is."""
    while not page.is_visible("#trial"):
        page.click("#beep")
        page.wait_for_selector("#counts button:enabled")
        page.click("#counts button >> nth=1")
        page.wait_for_timeout(200)


def play(page, number, key=None):
    if key:
        page.keyboard.press(key)
    else:
        page.click(f".video:nth-child({number}) button")
    page.wait_for_selector(f".video:nth-child({number})[data-played=true]")


def moved_on(page, before):
    page.wait_for_selector(f'#far-text:not(:text-is("{before}"))')


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_somebody_votes_with_the_mouse_closes_the_page_and_goes_on(made, address, opened, size):
    page = opened(address, size)
    code = agree(page)
    assert fits(page)
    hear(page)
    assert page.inner_text("#question") == MARKUP and fits(page)
    assert not page.is_enabled("#choices button >> nth=0")
    play(page, 1)
    assert not page.is_enabled("#choices button >> nth=0")
    play(page, 2)
    page.click(".video:nth-child(2) button")  # Once more.
    page.wait_for_timeout(900)
    page.click("text='Video 2'")
    moved_on(page, "Pair 1 of 3")
    assert held(made)[code, 0] == "right"
    page.reload()
    page.wait_for_selector("#back:visible")
    assert page.inner_text("#own-code") == code and "1 of 3" in page.inner_text("#back")
    hear(page)
    for trial in (1, 2):
        assert page.inner_text("#far-text") == f"Pair {trial + 1} of 3"
        play(page, 1)
        play(page, 2)
        page.click("text='Video 1'")
        moved_on(page, f"Pair {trial + 1} of 3")
    page.wait_for_selector("#thanks:visible")
    assert page.inner_text("#last-code") == code and page.title() == "A study of videos"
    with store.Store(document.read_study(made.folder)) as now:
        who = now.find(code)
        plays = [v.plays for v in now.read_all()[1] if v.participant == who.number]
    assert who.finished is not None and plays == [(1, 2), (1, 1), (1, 1)]


def test_the_keyboard_is_enough(made, address, opened):
    page = opened(address)
    page.wait_for_selector("#consent:visible")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sound:visible")
    code = page.inner_text("#own-code")
    hear(page)
    for trial, key in enumerate(["ArrowRight", "ArrowLeft", "ArrowRight"]):
        page.keyboard.press(key)  # Too early.
        play(page, 1, " ")
        play(page, 2, " " if trial else "2")
        assert (code, trial) not in held(made)
        page.keyboard.press(key)
        moved_on(page, f"Pair {trial + 1} of 3")
    page.wait_for_selector("#thanks:visible")
    mine = [choice for (of, _), choice in sorted(held(made).items()) if of == code]
    assert mine == ["right", "left", "right"]


def test_a_play_whose_middle_is_skipped_does_not_count(made, address, opened):
    page = opened(address)
    agree(page)
    hear(page)
    for again in (False, True):  # What an earlier play has shown changes nothing.
        page.click(".video:nth-child(1) button")
        page.evaluate(SKIP)
        page.wait_for_selector(f"#state:text-is('{INCOMPLETE}')")
        page.wait_for_timeout(700)
        assert page.get_attribute(".video:nth-child(1)", "data-played") == str(again).lower()
        if not again:
            play(page, 1)
    play(page, 2)
    page.click("text='Video 1'")
    moved_on(page, "Pair 1 of 3")


def test_an_answer_waits_until_it_is_stored(made, address, opened):
    page = opened(address)
    code = agree(page)
    hear(page)
    play(page, 1)
    play(page, 2)
    page.context.set_offline(True)
    page.click("text='Video 1'")
    page.wait_for_selector("#banner:visible")
    assert "cannot be reached" in page.inner_text("#banner")
    assert page.inner_text("#far-text") == "Pair 1 of 3"
    page.context.set_offline(False)
    moved_on(page, "Pair 1 of 3")
    assert held(made)[code, 0] == "left"


def test_who_withdraws_leaves_nothing(made, address, opened):
    page = opened(address, PHONE)
    code = agree(page)
    hear(page)
    page.click("footer a")
    page.fill("#code", "AAAA-BBBB-CCCC-DDDD")
    page.click("#delete")
    page.wait_for_selector("text=No participant of this study has that code")
    page.fill("#code", code.lower().replace("-", ""))
    page.click("#delete")
    page.wait_for_selector("text=All your answers have been deleted")
    page.click("text=Back to the study")
    page.wait_for_selector("#consent:visible")
    page.click("summary")
    page.fill("#code", code)
    page.keyboard.press("Enter")
    page.wait_for_selector("#banner:visible")
    assert "No participant of this study has that code" in page.inner_text("#banner")


def test_a_turing_test_asks_real_or_generated(tmp_path, opened):
    made = study(tmp_path, "turing")
    with served(made) as (_, address):
        page = opened(address)
        code = agree(page)
        hear(page)
        play(page, 1, "1")
        page.keyboard.press("ArrowRight")
        moved_on(page, "Video 1 of 4")
        page.close()  # Before the server ends: it loads the next videos.
    assert held(made) == {(code, 0): "generated"}
