"""Two sentences joined at ends of words."""

import numpy as np
import pytest

from data_pipelines.common.errors import CorruptRecord
from data_pipelines.loading import lipreading_examples, splicing
from data_pipelines.loading.dataset import DatasetClip


def clip(name, words, fps=25, frames=20, speaker="s1"):
    jpegs = [f"{name}{t}".encode() for t in range(frames)]
    own = np.zeros((frames, 68, 2), np.float32), np.zeros(frames), np.zeros(frames * 640, np.int16)
    text = " ".join(word for word, _, _ in words)
    return DatasetClip(name, speaker, text, fps, jpegs, *own, 16000, words, [])


A = clip("a", [("bin", 0.08, 0.24), ("blue", 0.24, 0.48), ("now", 0.48, 0.64)])
B = clip("b", [("lay", 0.04, 0.32), ("red", 0.32, 0.40), ("soon", 0.40, 0.72)])


def frames_of(c):
    return [jpeg.decode() for jpeg in c.jpegs]


def test_it_says_the_first_words_of_one_and_the_last_of_the_other():
    """Frames of 0.04 s: "bin" ends at 6, "lay" at 8, "blue" at 12, "red" at 10 and "soon" at 18."""
    rng = np.random.default_rng(0)
    spliced = [splicing.splice(A, B, rng, 30) for _ in range(20)]
    by_text = {c.transcript: c for c in spliced}
    assert set(by_text) == {"bin red soon", "bin blue soon"}
    c = by_text["bin red soon"]
    assert frames_of(c) == [f"a{t}" for t in range(6)] + [f"b{t}" for t in range(8, 20)]
    times = [time for _, *times in c.words for time in times]
    np.testing.assert_allclose(times, [0.08, 0.24, 0.24, 0.32, 0.32, 0.64])
    c = by_text["bin blue soon"]
    assert frames_of(c) == [f"a{t}" for t in range(12)] + [f"b{t}" for t in range(10, 20)]
    assert [word for word, _, _ in c.words] == ["bin", "blue", "soon"]


def test_letters_move_with_their_words():
    """Each word's letters are those that it has in its own clip."""
    c = splicing.splice(A, B, np.random.default_rng(1), 30)
    assert c.transcript == "bin red soon"
    said, first, second = (lipreading_examples.letters_in_time(x, 2) for x in (c, A, B))
    np.testing.assert_array_equal(said, [*first[:12], *second[16:]])


def test_what_follows_the_last_word_is_cut_off_but_no_word_is():
    for frames in range(14, 24):
        for seed in range(10):
            c = splicing.splice(A, B, np.random.default_rng(seed), frames)
            if c is not A:
                assert len(c) <= frames and c.words[-1][2] * 25 <= frames
    lengths = {len(splicing.splice(A, B, np.random.default_rng(s), 20)) for s in range(20)}
    assert lengths == {18, 20}


@pytest.mark.parametrize(
    "other",
    [clip("b", []), clip("b", [("lay", 0.0, 0.2)]), clip("b", B.words, fps=30)],
)
def test_what_cannot_be_joined_stays_alone(other):
    assert splicing.splice(A, other, np.random.default_rng(0), 30) is A


def test_a_share_of_the_examples_is_spliced_with_clips_of_the_same_speaker():
    class Clips(list):
        def speaker_of_clips(self):
            return [c.speaker for c in self]

    clips = Clips([A, clip("c", B.words, speaker="s2"), B])

    def example(c, rng, mirror, out):
        return c

    half = splicing.splicing(example, clips, 0.5, 30)
    rng = np.random.default_rng(0)
    made = [half(A, rng, False, None) for _ in range(400)]
    assert {c.id for c in made} == {"a", "a+a", "a+b"}
    assert sum(c is not A for c in made) / 400 == pytest.approx(0.5, abs=0.08)
    assert {half(clips[1], rng, False, None).id for _ in range(50)} == {"c", "c+c"}


def test_a_damaged_partner_leaves_the_clip_alone():
    class Clips(list):
        def __getitem__(self, index):
            raise CorruptRecord("record 1")

    alone = splicing.Splicing(lambda c, *_: c, Clips(), {"s1": [1]}, 1.0, 30)
    assert alone(A, np.random.default_rng(0), False, None) is A
