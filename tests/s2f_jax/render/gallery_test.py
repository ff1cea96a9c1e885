"""The gallery of a model with random weights, on clips of a grey and a sound each."""

import dataclasses
import html

import av
import numpy as np
import pytest
from PIL import Image

from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset
from data_pipelines.media import images
from s2f_jax import main
from s2f_jax.metrics.faces_in_videos import FaceTrack
from s2f_jax.provenance import marks
from s2f_jax.render import gallery
from s2f_jax.reports.figures import GAP
from tests import moving_pictures

FRAMES, RATE, FPS = 12, 16000, 25
HEIGHT, WIDTH = 128, 96  # Of 16x12, enlarged.


def clip(i, frames=FRAMES):
    rng = np.random.default_rng(i)
    pictures = np.full((frames, 16, 12, 3), 30 * i + 10, np.uint8)
    return dataset.DatasetClip(
        id=f"clip{i}",
        speaker=f"s{i}",
        transcript=f"words {i}",
        fps=FPS,
        jpegs=[images.encode_jpeg(picture) for picture in pictures],
        landmarks=np.zeros((frames, 68, 2), np.float32),
        blink=np.zeros(frames, np.float32),
        audio=rng.integers(-9999, 9999, frames * RATE // FPS).astype(np.int16),
        audio_rate=RATE,
        words=[],
        phones=[],
    )


CLIPS = [clip(i) for i in range(7)]


class NoFaces:
    problem = "no model"

    def close(self):
        pass


@pytest.fixture
def made(run_folder, tmp_path, monkeypatch):
    """Makes the gallery of some clips and gives its folder."""

    def made(clips=CLIPS, name="gallery", faces=NoFaces, **options):
        monkeypatch.setattr(gallery.dataset, "open_dataset", lambda *_: clips)
        monkeypatch.setattr(gallery, "FaceTracker", faces)
        gallery.gallery(str(run_folder), str(tmp_path / name), str(tmp_path), **options)
        return tmp_path / name

    return made


def shown(path):
    """All frames, 40 ms each."""
    pictures, lasting = moving_pictures.read(path)
    return np.repeat(pictures, np.round(lasting / 40).astype(int), axis=0)


def levels(frames, row, column):
    """The mean of a video at its place."""
    top, left = row * (HEIGHT + GAP), column * (WIDTH + GAP)
    return frames[:, top : top + HEIGHT, left : left + WIDTH].mean(axis=(1, 2, 3))


def test_animations_show_what_the_model_generates_for_the_named_clips(made, animator, capsys):
    folder = made(seed=3)
    page = (folder / "README.md").read_text()
    one_sound = shown(folder / "one_sound.webp")
    assert one_sound.shape == (FRAMES, HEIGHT, 5 * WIDTH + 4 * GAP, 3)
    speaking = next(c for c in CLIPS if f"The sound of {c.speaker} (“{c.transcript}”)" in page)
    real = speaking.frames.mean()
    assert levels(one_sound, 0, 0) == pytest.approx(np.full(FRAMES, real), abs=2)
    others = page.split("beside it ")[1].split(" under that sound")[0].split(", ")
    assert len(set(others)) == 4 and speaking.speaker not in others
    for column, name in enumerate(others, 1):
        still = CLIPS[int(name[1:])].frames[0]
        expected = animator(still, speaking.audio, RATE, seed=3, aligned=True).mean(axis=(1, 2, 3))
        # Four colours of 2x2 are lost on the way through WebP, not the mean.
        assert levels(one_sound, 0, column) == pytest.approx(expected, abs=6)
    one_face = shown(folder / "one_face.webp")
    assert one_face.shape == (FRAMES, 2 * HEIGHT + GAP, 4 * WIDTH + 3 * GAP, 3)
    for column, name in enumerate(others):
        other = CLIPS[int(name[1:])]
        real = np.full(FRAMES, other.frames.mean())
        assert levels(one_face, 0, column) == pytest.approx(real, abs=2)
        expected = animator(speaking.frames[0], other.audio, RATE, seed=3, aligned=True)
        expected = expected.mean(axis=(1, 2, 3))
        assert levels(one_face, 1, column) == pytest.approx(expected, abs=6)
    both = shown(folder / "real_and_generated.webp")
    assert both.shape == (FRAMES, 2 * HEIGHT + GAP, 5 * WIDTH + 4 * GAP, 3)
    assert levels(both, 0, 0) == pytest.approx(np.full(FRAMES, speaking.frames.mean()), abs=2)
    compared = shown(folder / "comparison.webp")
    assert compared.shape == (FRAMES, 4 * HEIGHT + 3 * GAP, 3 * WIDTH + 2 * GAP, 3)
    columns = [speaking, *(CLIPS[int(name[1:])] for name in others[:2])]
    for column, (face, other) in enumerate(zip(columns, columns[1:] + columns[:1], strict=True)):
        own, wrong = (
            animator(face.frames[0], sound.audio, RATE, seed=3, aligned=True).mean(axis=(1, 2, 3))
            for sound in (face, other)
        )
        still = np.full(FRAMES, face.frames[0].mean())
        for row, expected in enumerate((still, own, wrong, still)):  # Its frames are all grey.
            assert levels(compared, row, column) == pytest.approx(expected, abs=6)
    message = "Blinks and raised brows: Not searched. no model"
    assert message in capsys.readouterr().out and "Not searched. no model" in page
    assert not (folder / "expressions.webp").exists()


def test_every_picture_says_that_it_is_synthetic_and_what_made_it(made, run_folder):
    folder = made(seed=3)
    pictures = sorted(p.name for p in folder.iterdir() if p.suffix in (".webp", ".mp4"))
    assert pictures == [
        "comparison.webp",
        "one_face.webp",
        "one_sound.mp4",
        "one_sound.webp",
        "real_and_generated.webp",
    ]
    for name in pictures:
        provenance = marks.read_provenance(folder / name)
        assert provenance.synthetic and provenance.unchanged and provenance.sidecar["seed"] == 3
        assert provenance.sidecar["digitalSourceType"] == marks.COMPOSITE
        assert provenance.sidecar["video"]["frames"] == FRAMES
        if name.endswith(".webp"):
            with Image.open(folder / name) as picture:
                assert marks.COMPOSITE.encode() in picture.info["xmp"]
        (folder / f"{name}.json").unlink()
        assert marks.read_provenance(folder / name).facts["seed"] == 3  # By itself, too.
    page = (folder / "README.md").read_text()
    assert (
        "Synthetic, except for what is called real: generated by step 3 of the run `tiny`" in page
    )
    command = page.split("s2f_jax.main ")[1].split("`")[0].split()
    assert command[:3] == ["gallery", f"--checkpoint={run_folder}", f"--output={folder}"]
    assert command[4:] == ["--split=test", "--seed=3"]


def test_markup_in_transcripts_is_escaped(made):
    odd = dataclasses.replace(clip(0), transcript="<img src=x> ![a](b) `c`", speaker="")
    page = (made([odd]) / "README.md").read_text()
    shown = page.split("“")[1].split("”")[0]
    assert html.unescape(shown) == odd.transcript and not set("<>[]`") & set(shown)


def test_one_sound_is_there_to_be_heard(made):
    with av.open(str(made() / "one_sound.mp4")) as container:
        (video,), (sound,) = container.streams.video, container.streams.audio
        assert sum(1 for _ in container.decode(video)) == FRAMES
        assert float(sound.duration * sound.time_base) == pytest.approx(FRAMES / FPS, abs=0.07)


def test_the_same_seed_gives_the_same_pictures_and_another_one_others(made):
    first, again, other = made(name="a"), made(name="b"), made(name="c", seed=1)
    for path in first.glob("*.webp"):
        assert path.read_bytes() == (again / path.name).read_bytes()
        assert path.read_bytes() != (other / path.name).read_bytes()


def test_a_split_of_one_clip_and_a_long_clip(made):
    folder = made([clip(0)], "one")
    assert shown(folder / "one_sound.webp").shape[2] == 2 * WIDTH + GAP
    folder = made([clip(0, 140), clip(1, 3)], "long")
    assert len(shown(folder / "real_and_generated.webp")) == 5 * FPS


class Faces:
    """Sees an eye that closes in frame 60 of the first video, and brows that rise in the second's."""

    problem = ""

    def __init__(self):
        self.seen = 0

    def __call__(self, videos, cacheable):
        assert cacheable == [False] * len(videos)
        tracks = []
        for video in videos:
            t = np.arange(len(video))
            opening = np.where(np.abs(t - 60) < 3, 0.05, 0.4) if self.seen == 0 else 0.4 + 0 * t
            raised = np.where(np.abs(t - 60) < 9, 0.1, 0.0) if self.seen == 1 else 0.0 * t
            tracks.append("no face" if self.seen == 2 else FaceTrack(_points(opening, raised), 0))
            self.seen += 1
        return tracks

    def close(self):
        assert self.seen


def _points(opening, raised):
    """Landmarks [T, 68, 2] of eyes 20 wide and 40 apart, and of brows."""
    points = np.zeros((len(opening), 68, 2), np.float32)
    for eye, x in ((36, 0.0), (42, 40.0)):
        for i, (along, lid) in enumerate([(0, 0), (5, 1), (15, 1), (20, 0), (15, -1), (5, -1)]):
            points[:, eye + i, 0] = x + along
            points[:, eye + i, 1] = -lid * 10 * opening
    points[:, 17:27, 0] = 30
    points[:, 17:27, 1] = -12 - 40 * raised[:, None]
    return points


def test_the_deepest_expressions_move_below_each_other(made, animator):
    clips = [clip(i, 100) for i in range(4)]
    folder = made(clips, faces=Faces, seed=5)
    order = np.random.default_rng(5).permutation(4)
    blinking, raising = clips[order[0]], clips[order[1]]
    page = (folder / "README.md").read_text()
    assert (
        f"blinks: {blinking.id} at frame" in page and f"raised brows: {raising.id} at frame" in page
    )
    assert "have 1 blinks in 12 s" in page  # Of the three videos of four that show a face.
    frames = shown(folder / "expressions.webp")
    assert frames.shape == (50, 2 * HEIGHT + GAP, WIDTH, 3)
    # Each clip has a seed of its own.
    for row, (kind, of, seed) in enumerate([("blinks", blinking, 5), ("raised brows", raising, 6)]):
        start = int(page.split(f"{kind}: {of.id} at frame ")[1].split(";")[0].rstrip(".\n")) - 25
        video = animator(of.frames[0], of.audio, RATE, seed=seed, aligned=True)
        expected = video[start : start + 50].mean(axis=(1, 2, 3))
        assert levels(frames, row, 0) == pytest.approx(expected, abs=6)


def test_after_the_last_seed_comes_the_first(made):
    made([clip(i, 100) for i in range(4)], faces=Faces, seed=2**32 - 1)


def test_where_nothing_moves_there_is_no_picture_of_it(made, capsys):
    class Still(Faces):
        def __init__(self):
            self.seen = 3

    folder, message = made(faces=Still), "blinks: none was found; raised brows: none was found"
    assert not (folder / "expressions.webp").exists()
    assert message in capsys.readouterr().out and message in (folder / "README.md").read_text()


@pytest.mark.parametrize(
    "wrong,message",
    [
        ({"clips": []}, "--split=test of demo has no clips"),
        ({"name": "full"}, "is not empty"),
        ({"seed": -1}, "seed=-1 is out of range: give 0 to 2\\^32 - 1"),
        ({"seed": 2**32}, "seed=4294967296 is out of range"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(made, tmp_path, wrong, message):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(UserError, match=message):
        made(**wrong)
    assert [p.name for p in tmp_path.iterdir()] == ["full"]


def test_a_bundle_has_no_corpus(bundle_folder, tmp_path, capsys):
    given = [f"--checkpoint={bundle_folder}", f"--output={tmp_path / 'x'}"]
    assert main.dispatch(["gallery", *given]) == 2
    assert "is an exported bundle: give the workdir" in capsys.readouterr().err
