"""What one call is to make, and what no call can."""

import pathlib

import pytest

from data_pipelines.common.errors import UserError
from s2f_jax.render.jobs import plan_jobs


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    return tmp_path


def made(images, audios, output="out", seed=0, num_samples=1):
    return [
        (job.image, job.audio, job.seed, job.output)
        for job in plan_jobs(images, audios, output, seed, num_samples)
    ]


def test_one_is_a_file():
    assert made(["a.png"], ["x.wav"], "o.mp4", 7) == [("a.png", "x.wav", 7, "o.mp4")]


def test_one_goes_with_many_and_many_go_in_pairs():
    by_sound = made(["f/a.png"], ["x.wav", "s/y.wav"])
    assert [job[1:] for job in by_sound] == [
        ("x.wav", 0, "out/a_x.mp4"),
        ("s/y.wav", 0, "out/a_y.mp4"),
    ]
    by_image = made(["a.png", "b.jpg"], ["x.wav"])
    assert [job[3] for job in by_image] == ["out/a_x.mp4", "out/b_x.mp4"]
    pairs = made(["a.png", "b.png"], ["x.wav", "y.wav"])
    assert [job[3] for job in pairs] == ["out/a_x.mp4", "out/b_y.mp4"]


def test_samples_have_seeds_in_a_row_and_in_their_names():
    jobs = made(["a.png"], ["x.wav"], "new", seed=5, num_samples=3)
    assert [job[2:] for job in jobs] == [(s, f"new/a_x_{s}.mp4") for s in (5, 6, 7)]
    assert not pathlib.Path("new").exists()  # Before there is a video.


def test_commas_part_names_but_not_within_a_file_s(here):
    (here / "a,b.png").write_text("")
    jobs = made(["a,b.png"], ["x.wav,y.wav", "z.wav"])
    assert [job[:2] for job in jobs] == [("a,b.png", f"{name}.wav") for name in "xyz"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"images": ["a", "b"], "audios": ["x", "y", "z"]},
            "2 images and 3 audio files make no pairs",
        ),
        ({"images": [""]}, "--image names no file: give one"),
        ({"audios": [","]}, "--audio names no file: give one"),
        ({"num_samples": 0}, "--num_samples=0: must be 1 or more"),
        ({"seed": -1}, "seed=-1 is out of range"),
        ({"seed": 2**32 - 2, "num_samples": 3}, "seed=4294967296 is out of range"),
        ({"num_samples": 2, "output": "o.mp4"}, "o.mp4 is one file for 2 videos: give a folder"),
        ({"num_samples": 2, "output": "file"}, "file is a file, and 2 videos need a folder"),
        ({"num_samples": 2, "output": "no/where"}, "there is no folder no; make it first"),
        ({"output": "out"}, "--output=out: must end in .mp4"),
        ({"audios": ["talk.mp4"], "output": "talk.mp4"}, "talk.mp4 is also an input"),
        ({"images": ["f/A.png", "g/a.png"], "output": "out"}, "would both be out/a_x.mp4: rename"),
    ],
)
def test_invalid_jobs_are_reported(here, options, message):
    (here / "file").write_text("")
    given = {"images": ["a.png"], "audios": ["x.wav"], "output": "o.mp4", "seed": 0}
    given |= {"num_samples": 1} | options
    with pytest.raises(UserError, match=message):
        plan_jobs(**given)
