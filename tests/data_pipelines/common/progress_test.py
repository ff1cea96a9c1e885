import pytest

from data_pipelines.common import progress


@pytest.fixture
def clock(monkeypatch):
    """Advances by 4 s whenever it is read."""
    times = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))


def test_a_line_every_ten_seconds_and_at_the_end(clock, capsys):
    with progress.Progress("aligned", 140, "clip") as shown:
        for count in range(7):
            shown.note = f"{count} quarantined"
            shown.update(20)
    assert capsys.readouterr().err.splitlines() == [
        "aligned 80 of 140 clips, 5.00 clips/s, 00:12 left, 3 quarantined",
        "aligned 140 of 140 clips, 5.00 clips/s, 6 quarantined",
    ]


def test_short_work_with_a_delay_is_silent(clock, capsys):
    with progress.Progress("", 3, "frame", delay=9) as shown:
        for _ in range(3):
            shown.update()
    assert capsys.readouterr() == ("", "")


def test_bytes_are_scaled_and_a_resumed_part_is_not_in_the_rate(clock, capsys):
    with progress.Progress("s1.zip", None, "B") as shown:
        shown.update_to(500_000_000, 540_000_000)
        shown.update_to(540_000_000, 540_000_000)
    assert capsys.readouterr().err == "s1.zip 540MB of 540MB, 10.0MB/s\n"


def test_tracked_items_come_through(clock, capsys):
    assert list(progress.track("abc", "read", "letter")) == ["a", "b", "c"]
    assert list(progress.track(iter("ab"), "read", "letter", total=2)) == ["a", "b"]
    assert "read 3 of 3 letters" in capsys.readouterr().err
