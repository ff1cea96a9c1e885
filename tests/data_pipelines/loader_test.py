"""Batches: what is in them, and that seed and position alone decide it."""

import dataclasses

import numpy as np
import pytest

from data_pipelines import loader, media, transforms

RATE, FPS, H, W = 400, 25, 16, 12  # 16 samples a frame.
STRIDE, WINDOW = 16, 40


def clip_of(index, frames=10):
    """Frame t is a flat grey of 20 * index + t, but for a white left half; sample s is s + 1."""
    video = (
        np.full((frames, H, W, 3), 20 * index, np.uint8)
        + np.arange(frames, dtype=np.uint8)[:, None, None, None]
    )
    video[:, :, : W // 2] = 255
    return loader.Clip(
        id=f"c{index}",
        speaker=f"s{index % 2}",
        transcript="",
        fps=FPS,
        jpegs=[media.encode_jpeg(frame) for frame in video],
        landmarks=np.zeros((frames, 68, 2), np.float32),
        blink=np.zeros(frames, np.float32),
        audio=np.arange(1, frames * STRIDE + 1, dtype=np.int16),
        audio_rate=RATE,
        words=[],
        phones=[],
    )


CLIPS = [clip_of(i) for i in range(6)]


def batches(**changes):
    options = {"batch_size": 4, "clip_frames": 5, "window": WINDOW, "mirror": True, "seed": 3}
    return loader.training_batches(CLIPS, **{**options, **changes})


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def same(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert x.keys() == y.keys()
        for name in x:
            np.testing.assert_array_equal(x[name], y[name])


def test_an_epoch_is_every_clip_plain_and_mirrored():
    seen = take(batches(), 3)
    clips = np.concatenate([b["clip"] for b in seen])
    mirrored = np.concatenate([b["still"][:, H // 2, 0, 0] < 200 for b in seen])
    assert sorted(zip(clips.tolist(), mirrored.tolist(), strict=True)) == [
        (clip, side) for clip in range(6) for side in (False, True)
    ]


def test_the_order_changes_with_the_epoch_and_the_seed():
    both = [b["clip"].tolist() for b in take(batches(), 6)]
    assert both[:3] != both[3:]
    assert both[:3] != [b["clip"].tolist() for b in take(batches(seed=4), 3)]


def test_a_position_goes_on_exactly():
    iterator = batches()
    take(iterator, 2)
    state = iterator.get_state()
    rest = take(iterator, 4)
    again = batches()
    again.set_state(state)
    same(take(again, 4), rest)


def test_processes_share_the_batch_one_process_has():
    whole = take(batches(), 3)
    parts = [take(batches(process=p, processes=2), 3) for p in (0, 1)]
    for together, *shares in zip(whole, *parts, strict=True):
        ours = np.concatenate([share["clip"] for share in shares])
        assert sorted(ours) == sorted(together["clip"])


def test_frames_sound_and_still_belong_together():
    for batch in take(batches(mirror=False), 4):
        for i, index in enumerate(batch["clip"]):
            first = int(round(batch["frames"][i, 0, 0, -1, 0] - 20.0 * index))
            assert batch["still"][i, 0, -1, 0] == pytest.approx(20 * index, abs=2)
            # Sample 12 of the window is frame `first`'s own first sample.
            assert batch["audio"][i, (WINDOW - STRIDE) // 2] == first * STRIDE + 1


def test_a_short_clip_is_padded_and_masked():
    batch = loader.whole_clips([clip_of(0), clip_of(1, frames=4)], [0, 1], WINDOW)
    np.testing.assert_array_equal(batch["mask"].sum(axis=1), [10, 4])
    assert (batch["frames"][1, 4:] == 0).all()
    assert (batch["audio"][1, (WINDOW - STRIDE) // 2 + 4 * STRIDE :] == 0).all()


def test_audio_is_centred_on_its_frame():
    audio = np.arange(1, 161, dtype=np.int16)
    cut = transforms.cut_audio(audio, 0, 10, WINDOW, STRIDE)
    assert len(cut) == 10 * STRIDE + WINDOW - STRIDE
    np.testing.assert_array_equal(cut[:12], 0)
    np.testing.assert_array_equal(cut[12:-12], audio)
    np.testing.assert_array_equal(cut[-12:], 0)
    inner = transforms.cut_audio(audio, 3, 2, WINDOW, STRIDE)
    np.testing.assert_array_equal(inner, audio[3 * 16 - 12 : 3 * 16 + 2 * 16 + 12])


def test_a_clip_is_decoded_where_asked():
    clip = dataclasses.replace(CLIPS[0])
    np.testing.assert_array_equal(clip.decode(3, 2), clip.frames[3:5])
