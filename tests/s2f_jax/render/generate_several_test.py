"""`generate` of several stills and sounds: which go together, and each as it is alone."""

import pathlib

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.media.images import encode_png
from s2f_jax.render import video_job
from s2f_jax.render.generate import _batches, generate
from s2f_jax.render.jobs import JobSpec
from tests.generating import SOUND, STILL, compiled_once, streams
from tests.wav_files import float_wav, wav


@pytest.fixture
def several(run_folder, animator, tmp_path, monkeypatch):
    """generate into a folder `out` -> what is drawn into each file, before it is encoded."""
    compiled_once(monkeypatch, run_folder, animator)
    drawn, show = {}, video_job.VideoFile.write_frame

    def shown(video, picture):
        drawn.setdefault(pathlib.Path(video._path).name, []).append(picture.astype(int))
        show(video, picture)

    monkeypatch.setattr(video_job.VideoFile, "write_frame", shown)

    def several(images, audios, **options):
        drawn.clear()
        paths = [[str(tmp_path / name) for name in names] for names in (images, audios)]
        generate(str(run_folder), *paths, str(tmp_path / "out"), aligned=True, **options)
        return {name: np.stack(frames) for name, frames in drawn.items()}

    return several


def files_of(tmp_path, images=3, sounds=3):
    """Stills and sounds of other lengths and rates."""
    names = [f"{i}.png" for i in range(images)], [f"{i}.wav" for i in range(sounds)]
    for i, name in enumerate(names[0]):
        (tmp_path / name).write_bytes(encode_png(np.roll(STILL, i, axis=0)))
    for i, name in enumerate(names[1]):
        wav(tmp_path / name, SOUND[: 9000 + 8000 * i], (16000, 44100, 8000)[i % 3])
    return names


def test_side_by_side_is_as_alone(several, animator, tmp_path):
    images, sounds = files_of(tmp_path)
    for size in (1, 2, 3):
        together = several(images, sounds, side_by_side=size, seed=4)
        assert sorted(together) == ["0_0.mp4", "1_1.mp4", "2_2.mp4"]
        for i, (image, audio) in enumerate(zip(images, sounds, strict=True)):
            alone = animator(
                str(tmp_path / image), str(tmp_path / audio), aligned=True, seed=4
            ).astype(int)
            video = together[f"{i}_{i}.mp4"]
            assert video.shape == alone.shape and np.abs(video - alone).max() <= 1
            assert streams(tmp_path / "out" / f"{i}_{i}.mp4")[1] == len(alone)


def test_one_sound_goes_with_all_faces_and_one_face_with_all_sounds(several, tmp_path):
    images, sounds = files_of(tmp_path)
    assert sorted(several(images, sounds[:1])) == ["0_0.mp4", "1_0.mp4", "2_0.mp4"]
    assert sorted(several(images[:1], sounds)) == ["0_0.mp4", "0_1.mp4", "0_2.mp4"]


def test_samples_are_the_seeds_from_the_first_on(several, animator, tmp_path):
    images, sounds = files_of(tmp_path, 1, 1)
    drawn = several(images, sounds, seed=7, num_samples=3)
    assert sorted(drawn) == ["0_0_7.mp4", "0_0_8.mp4", "0_0_9.mp4"]
    for seed in (7, 8, 9):
        alone = animator(str(tmp_path / "0.png"), str(tmp_path / "0.wav"), aligned=True, seed=seed)
        assert np.abs(drawn[f"0_0_{seed}.mp4"] - alone).max() <= 1
    assert np.abs(drawn["0_0_7.mp4"] - drawn["0_0_8.mp4"]).max() > 1


def test_at_another_rate_the_model_s_time_is_sampled(several, tmp_path):
    images, sounds = files_of(tmp_path, 2, 1)
    own = several(images, sounds)["1_0.mp4"]
    for fps, rate in (("50", 50), ("30000/1001", 30000 / 1001), ("10", 10)):
        shown = several(images, sounds, fps=fps)["1_0.mp4"]
        times = np.arange(len(shown)) / rate
        assert len(shown) == np.ceil(9000 * rate / 16000)
        np.testing.assert_array_equal(shown, own[np.floor(25 * times + 1e-9).astype(int)])
        assert streams(tmp_path / "out" / "1_0.mp4")[2] == pytest.approx(
            [len(shown) / rate] * 2, abs=1e-3
        )


def test_batches_have_audio_of_similar_lengths():
    job = JobSpec
    planned = [job("i", name, 0, name) for name in "abcdefg"]
    seconds = dict(zip("abcdefg", (9.0, 1.0, 3600.0, 1.5, 2.0, 1.2, 10.0), strict=True))
    batches = _batches(planned, seconds, 3)
    assert [[j.audio for j in batch] for batch in batches] == [
        ["b", "f", "d"],
        ["e"],
        ["a", "g"],
        ["c"],
    ]


def test_of_many_videos_the_failed_are_named_and_the_others_made(several, tmp_path, capsys):
    images, sounds = files_of(tmp_path, 5, 5)
    (tmp_path / "1.png").unlink()
    (tmp_path / "2.wav").write_text("no sound")
    (tmp_path / "3.png").write_bytes(encode_png(STILL[:5]))
    samples = np.resize(SOUND, 80000)
    samples[40000:] = np.nan  # Only found when the others are well under way.
    float_wav(tmp_path / "4.wav", samples)
    with pytest.raises(UserError) as error:
        several(images, sounds)
    text = str(error.value)
    assert text.startswith("4 of 5 videos were not made: ") and "\n" not in text
    for message in (
        "1_1.mp4: There is no image",
        "2_2.mp4: The sound of",
        "3_3.mp4: the image is 12x5",
    ):
        assert f"out/{message}" in text
    assert "4_4.mp4: The sound of" in text and "packets do not decode" in text
    made = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert made == ["0_0.mp4", "0_0.mp4.json"]
    assert "0_0.mp4: 15 frames, 0.60 s, 12x16" in capsys.readouterr().out
