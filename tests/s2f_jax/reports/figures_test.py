"""The paper's figures: which frames of which faces they show."""

import types

import cv2
import numpy as np
import pytest

from s2f_jax.reports import figures
from s2f_jax.reports.expressions import ExpressionCollector

_H, _W = 128, 96


def _clip(speaker, frames=21, name="c"):
    """Frame t of speaker s is grey of level 10 s + t."""
    video = np.zeros((frames, _H, _W, 3), np.uint8)
    video += (10 * speaker + np.arange(frames, dtype=np.uint8))[:, None, None, None]
    audio = np.full(frames * 4, speaker, np.int16)
    return _Clip(
        id=f"{name}{speaker}", speaker=f"s{speaker}", transcript="words", frames=video, audio=audio
    )


class _Clip(types.SimpleNamespace):
    def __len__(self):
        return len(self.frames)


def _generate(stills, audios, seed):
    """A model that adds 100 and the time to the still; every clip has its sound's length."""
    _generate.shapes.append(stills.shape)
    _generate.sounds.append([audio.tobytes() for audio in audios])
    times = [np.arange(len(audio) // 4, dtype=np.uint8) for audio in audios]
    return [s[None] + 100 + t[:, None, None, None] for s, t in zip(stills, times, strict=True)]


_generate.shapes, _generate.sounds = [], []


def _grey(image, row, column):
    """The level of a frame in a figure with gaps after the first row and column."""
    gap = figures.GAP
    y = row * _H + (gap if row else 0) + _H // 2
    x = column * _W + (gap if column else 0) + _W // 2
    return int(image[y, x, 0])


def test_one_sound_on_several_faces():
    _generate.shapes, _generate.sounds = [], []
    clips = [_clip(speaker, name=name) for speaker in range(6) for name in "ab"]
    image, caption = figures.shared_audio_figure(clips, _generate, faces=3, columns=4, batch_size=8)
    assert image.shape == (4 * _H + figures.GAP, 5 * _W + figures.GAP, 3)
    assert _generate.shapes == [(8, _H, _W, 3)]
    assert len(set(_generate.sounds[0])) == 1
    sounding = np.frombuffer(_generate.sounds[0][0], np.int16)[0]
    stills = [_grey(image, row, 0) for row in range(4)]
    assert stills[0] == 10 * sounding
    assert len(set(stills)) == 4  # Four speakers.
    at = [4, 8, 12, 16]
    assert [_grey(image, 0, c) - stills[0] for c in range(1, 5)] == at
    for row in range(1, 4):
        assert [_grey(image, row, c) - stills[row] - 100 for c in range(1, 5)] == at
    assert f"s{stills[1] // 10}" in caption and "frames 4, 8, 12, 16" in caption


@pytest.mark.parametrize("speaker", ["", "one"])
def test_a_cast_without_speakers_is_of_as_many_clips(speaker):
    clips = [types.SimpleNamespace(id=f"c{i}", speaker=speaker) for i in range(7)]
    chosen = figures.sample_speakers(clips, 5, seed=0)
    assert len({clip.id for clip in chosen}) == 5


def test_a_cast_is_of_all_speakers_before_one_comes_again():
    clips = [types.SimpleNamespace(id=f"c{i}", speaker=f"s{i % 3}") for i in range(30)]
    chosen = figures.sample_speakers(clips, 5, seed=0)
    assert {clip.speaker for clip in chosen[:3]} == {"s0", "s1", "s2"}
    assert len({clip.id for clip in chosen}) == 5
    assert len(figures.sample_speakers(clips[:2], 5, seed=0)) == 2


def test_a_cast_is_found_without_reading_a_whole_corpus():
    class Clips:
        seen = 0

        def __len__(self):
            return 10**6

        def __getitem__(self, i):
            self.seen += 1
            return types.SimpleNamespace(id=f"c{i}", speaker="one")

    clips = Clips()
    assert len(figures.sample_speakers(clips, 5, seed=0)) == 5 and clips.seen <= 2000


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_one_short_clip_alone(frames):
    image, _ = figures.shared_audio_figure([_clip(0, frames)], _generate)
    assert image.shape == (2 * _H + figures.GAP, (1 + frames) * _W + figures.GAP, 3)


def test_figures_are_written_as_pictures(tmp_path):
    clips = [_clip(speaker) for speaker in range(3)]
    expressions = ExpressionCollector()
    (alone,) = figures.write_figures(tmp_path, clips, _generate, expressions)
    expressions.add("c", "s", clips[0].frames, {"blinks": np.array([[3, 5, 8]])})
    both = figures.write_figures(tmp_path, clips, _generate, expressions)
    assert alone.path == both[0].path == tmp_path / "figures" / "same_sound.png"
    assert [sample.path.name for sample in both] == ["same_sound.png", "expressions.png"]
    for sample in both:
        assert cv2.imread(str(sample.path)).shape[2] == 3
    assert "Fig. 4" in both[0].title and "blinks: c at frame 5" in both[1].note


def test_small_frames_are_enlarged():
    image, _ = figures.shared_audio_figure(
        [_Clip(id="c", speaker="s", transcript="", frames=np.zeros((2, 64, 48, 3), np.uint8),
               audio=np.zeros(8, np.int16))],
        _generate,
    )  # fmt: skip
    assert image.shape == (2 * 128 + figures.GAP, 3 * 96 + figures.GAP, 3)
