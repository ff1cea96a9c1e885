import shutil

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.faces import alignment
from data_pipelines.faces import landmarks as landmarks_module
from data_pipelines.media import images, writer
from data_pipelines.media.sound_file import read_audio
from s2f_jax.inference.animator import Animator

RNG = np.random.default_rng(0)
STILL = RNG.integers(0, 256, (16, 12, 3), np.uint8)
SOUND = RNG.uniform(-0.5, 0.5, 8000).astype(np.float32)  # Half a second at the model's rate.


def animate(animator, audio=SOUND, rate=16000, image=STILL, **options):
    return animator(image, audio, rate, aligned=True, **options)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 50000])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_frames_are_counted_on_the_original_samples(animator, rate, extra):
    """T = ceil(S * fps / rate), exactly, also one sample around a whole number of frames."""
    samples = 2 * rate // 25 + extra
    sound = animator.prepare_audio(np.zeros(samples, np.float32), rate)
    assert -(-len(sound) // animator.generator.stride) == -(-samples * 25 // rate)


@pytest.mark.parametrize("rate", [8000, 16000.0, 48000.0])
def test_a_single_sample_is_a_frame(animator, rate):
    video = animate(animator, np.ones(1, np.float32), rate)
    assert video.shape == (1, 16, 12, 3) and video.dtype == np.uint8


def test_integers_and_floats_are_the_same_sound(animator):
    pcm = np.rint(32768 * SOUND).astype(np.int16)
    video = animate(animator, pcm)
    np.testing.assert_array_equal(video, animate(animator, pcm / np.float32(32768)))
    np.testing.assert_array_equal(video, animate(animator, pcm / np.float64(32768)))


def test_a_constant_offset_changes_nothing(animator):
    shifted = animate(animator, SOUND + np.float32(0.2))
    assert np.abs(shifted.astype(int) - animate(animator)).max() <= 1


def test_a_path_equals_its_content(animator, tmp_path):
    writer.write_video(tmp_path / "a.mp4", np.stack([STILL] * 12), 25, SOUND, 16000)
    (tmp_path / "still.png").write_bytes(images.encode_png(STILL))
    sound = read_audio(tmp_path / "a.mp4", 16000)
    from_paths = animate(animator, str(tmp_path / "a.mp4"), None, tmp_path / "still.png")
    np.testing.assert_array_equal(from_paths, animate(animator, sound))
    assert len(from_paths) == 12


def test_image_audio_and_seed_change_the_frames(animator):
    video = animate(animator).astype(int)
    for other in (
        animate(animator, image=255 - STILL),
        animate(animator, np.zeros_like(SOUND)),
        animate(animator, seed=1),
    ):
        assert np.abs(other - video).max() > 0
    np.testing.assert_array_equal(animate(animator, seed=0), video)


def test_without_noise_no_seed_matters(animator):
    still = animate(animator, noise_std=0.0, raw=True)
    np.testing.assert_array_equal(animate(animator, noise_std=0.0, raw=True, seed=9), still)
    assert np.abs(still - animate(animator, raw=True)).max() > 0


def test_raw_frames_are_the_networks_own(animator):
    raw, video = animate(animator, raw=True), animate(animator)
    assert raw.shape == (13, 16, 12, 3) == video.shape and raw.dtype == np.float32
    assert -1 <= raw.min() < raw.max() <= 1
    assert np.abs((raw + 1) * 127.5 - video).max() <= 0.5 + 1e-3


def test_later_audio_changes_no_frame_before_its_window(animator):
    g = animator.generator
    changed = SOUND.copy()
    changed[10 * g.stride :] *= -1
    same = animate(animator, changed, raw=True) == animate(animator, raw=True)
    # Frame i sees (window - stride) / 2 samples beyond its own.
    first = 10 - (g.window - g.stride) // 2 / g.stride
    assert same[: int(first)].all() and not same[10:].all()


def test_side_by_side_is_as_alone(animator):
    pcm = [np.rint(32768 * SOUND[:n]).astype(np.int16) for n in (8000, 3000)]
    together = animator.generate_clips(np.stack([STILL, 255 - STILL]), pcm, seed=2)
    for still, audio, video in zip((STILL, 255 - STILL), pcm, together, strict=True):
        alone = animate(animator, audio, image=still, seed=2)
        assert video.shape == alone.shape
        assert np.abs(video.astype(int) - alone).max() <= 1


def nan_at(at):
    sound = SOUND.copy()
    sound[at] = np.nan
    return sound


@pytest.mark.parametrize(
    ("audio", "rate", "message"),
    [
        (SOUND, None, "rate=None: must be the audio's sampling rate"),
        (SOUND, 0, "rate=0: must be the audio's sampling rate"),
        (SOUND, 22050.5, "rate=22050.5: must be the audio's sampling rate"),
        (SOUND[:0], 16000, "empty"),
        (nan_at(7), 16000, "sample 7 of the audio is nan"),
        (np.full(9, -np.inf), 16000, "sample 0 of the audio is -inf"),
        (np.zeros((2, 9), np.float32), 16000, r"float32 \[2, 9\]: give mono"),
        (np.zeros(9, np.int64), 16000, r"int64 \[9\]: give mono"),
        (np.zeros(9, bool), 16000, r"bool \[9\]: give mono"),
        ("missing.wav", None, "no audio file missing.wav"),
    ],
)
def test_invalid_audio_is_reported(animator, audio, rate, message):
    with pytest.raises(UserError, match=message):
        animate(animator, audio, rate)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (STILL[..., 0], r"uint8 \[16, 12\]: give uint8 \[H, W, 3\]"),
        (STILL / np.float32(255), r"float32 \[16, 12, 3\]: give uint8"),
        (STILL[:0], r"uint8 \[0, 12, 3\]"),
        (STILL[:, :10], "10x16 pixels and an aligned crop of this model is 12x16"),
        ("missing.png", "no image file missing.png"),
    ],
)
def test_an_invalid_image_is_reported(animator, image, message):
    with pytest.raises(UserError, match=message):
        animate(animator, image=image)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_would_wrap_around_is_reported(animator, seed):
    with pytest.raises(UserError, match=f"seed={seed} is out of range"):
        animate(animator, seed=seed)


def test_a_portrait_is_aligned_to_the_model(animator, monkeypatch):
    """A face at its canonical place in an image of the model's size: that very image."""
    landmarks = np.zeros((68, 2), np.float32)
    landmarks[list(alignment.STABLE)] = alignment.canonical_points(16, 12)
    monkeypatch.setattr(landmarks_module, "find_faces", lambda image: [landmarks])
    drawn = animator.prepare_still(STILL, aligned=False)
    assert np.abs(drawn.astype(int) - STILL).max() <= 2
    video = animator(STILL, SOUND, 16000)
    assert np.abs(video.astype(int) - animate(animator, image=drawn)).max() == 0


def test_it_knows_its_checkpoint_whichever_becomes_the_best_one(run_folder, tmp_path):
    copy = shutil.copytree(run_folder, tmp_path / "run")
    for path in (copy, copy / "checkpoints" / "3"):
        assert Animator.load(path).origin == copy / "checkpoints" / "3"
