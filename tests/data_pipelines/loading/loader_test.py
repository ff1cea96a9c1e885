"""Batches: what is in them, and that seed and position alone decide it."""

import dataclasses
import functools
import shutil
import threading

import numpy as np
import pytest

from data_pipelines.common.errors import CorruptRecord, UserError
from data_pipelines.loading import dataset, loader, training_examples
from data_pipelines.media import images
from tests import drawn_shards

RATE, FPS, H, W = 400, 25, 16, 12  # 16 samples a frame.
STRIDE, WINDOW = 16, 40


def clip_of(index, frames=10):
    """Frame t is a flat grey of 20 * index + t, but for a white left half; sample s is s + 1."""
    video = (
        np.full((frames, H, W, 3), 20 * index, np.uint8)
        + np.arange(frames, dtype=np.uint8)[:, None, None, None]
    )
    video[:, :, : W // 2] = 255
    return dataset.DatasetClip(
        id=f"c{index}",
        speaker=f"s{index % 2}",
        transcript="",
        fps=FPS,
        jpegs=[images.encode_jpeg(frame) for frame in video],
        landmarks=np.zeros((frames, 68, 2), np.float32),
        blink=np.zeros(frames, np.float32),
        audio=np.arange(1, frames * STRIDE + 1, dtype=np.int16),
        audio_rate=RATE,
        words=[],
        phones=[],
    )


CLIPS = [clip_of(i) for i in range(6)]


def batches(**changes):
    options = {"batch_size": 4, "mirror": True, "seed": 3}
    example = functools.partial(
        training_examples.training_example, frames=changes.pop("clip_frames", 5), window=WINDOW
    )
    return loader.training_batches(CLIPS, example, **{**options, **changes})


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def same(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert x.keys() == y.keys()
        for name in x:
            np.testing.assert_array_equal(x[name], y[name])


def test_an_epoch_is_every_clip_plain_and_mirrored():
    loaded = take(batches(), 3)
    clips = np.concatenate([b["clip"] for b in loaded])
    mirrored = np.concatenate([b["still"][:, H // 2, 0, 0] < 200 for b in loaded])
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


def test_visits_say_how_often_an_epoch_has_a_clip():
    visits = [0, 1, 1, 5, 5, 5]
    loaded = take(batches(visits=visits), 6)  # Two epochs of 12 examples.
    for epoch in (loaded[:3], loaded[3:]):
        clips = np.concatenate([batch["clip"] for batch in epoch]).tolist()
        assert sorted(clips) == sorted(2 * visits)
    assert [b["clip"].tolist() for b in loaded[:3]] != [b["clip"].tolist() for b in loaded[3:]]
    resumed = batches(visits=visits)
    resumed.set_state({"global_next_index": 8})
    same(take(resumed, 4), loaded[2:])


def test_without_visits_an_epoch_is_that_of_each_clip_once():
    same(take(batches(), 4), take(batches(visits=range(6)), 4))


@pytest.mark.parametrize(
    ("balance", "repeats"),
    [(0.0, (1, 1, 1)), (0.5, (1, 3, 4)), (1.0, (1, 8, 16))],  # Square roots of 8 and 16.
)
def test_speakers_with_few_clips_are_seen_more_often(balance, repeats):
    speakers = ["a"] * 16 + ["b"] * 2 + ["c"]
    visits = loader.epoch_visits(speakers, balance)
    counts = [visits.count(i) for i in range(19)]
    assert counts == [repeats[0]] * 16 + [repeats[1]] * 2 + [repeats[2]]
    assert visits == sorted(visits)


def test_frames_sound_and_still_belong_together():
    for batch in take(batches(mirror=False), 4):
        for i, index in enumerate(batch["clip"]):
            first = int(round(batch["frames"][i, 0, 0, -1, 0] - 20.0 * index))
            assert batch["still"][i, 0, -1, 0] == pytest.approx(20 * index, abs=2)
            # Sample 12 of the window is frame `first`'s own first sample.
            assert batch["audio"][i, (WINDOW - STRIDE) // 2] == first * STRIDE + 1


def test_a_short_clip_is_padded_and_masked():
    batch = loader.whole_clip_batch([clip_of(0), clip_of(1, frames=4)], [0, 1], WINDOW)
    np.testing.assert_array_equal(batch["mask"].sum(axis=1), [10, 4])
    assert (batch["frames"][1, 4:] == 0).all()
    assert (batch["audio"][1, (WINDOW - STRIDE) // 2 + 4 * STRIDE :] == 0).all()


def test_audio_is_centred_on_its_frame():
    audio = np.arange(1, 161, dtype=np.int16)
    cut = training_examples.cut_audio(audio, 0, 10, WINDOW, STRIDE)
    assert len(cut) == 10 * STRIDE + WINDOW - STRIDE
    np.testing.assert_array_equal(cut[:12], 0)
    np.testing.assert_array_equal(cut[12:-12], audio)
    np.testing.assert_array_equal(cut[-12:], 0)
    inner = training_examples.cut_audio(audio, 3, 2, WINDOW, STRIDE)
    np.testing.assert_array_equal(inner, audio[3 * 16 - 12 : 3 * 16 + 2 * 16 + 12])


def test_a_clip_decodes_the_requested_frames():
    clip = dataclasses.replace(CLIPS[0])
    np.testing.assert_array_equal(clip.decode(3, 2), clip.frames[3:5])
    np.testing.assert_array_equal(clip.decode(3, 2, mirror=True), clip.frames[3:5, :, ::-1])
    out = np.full((4, H, W, 3), 7, np.uint8)
    assert clip.decode(8, 2, out=out) is out
    np.testing.assert_array_equal(out, [*clip.frames[8:], *np.zeros((2, H, W, 3))])


def test_only_the_frames_of_a_window_are_decoded(monkeypatch):
    decoded, decode, here = [], images.decode_jpeg, threading.get_ident()

    def counted(data):
        if threading.get_ident() == here:  # Other tests' iterators may still read ahead.
            decoded.append(data)
        return decode(data)

    monkeypatch.setattr(images, "decode_jpeg", counted)
    iterator = batches(threads=0, batch_size=1, mirror=False)
    for _ in range(6):
        batch = next(iterator)
        (index,) = batch["clip"]
        first = int(batch["audio"][0, (WINDOW - STRIDE) // 2]) // STRIDE  # Sample s is s + 1.
        wanted = [*range(first, first + 5), *([0] if first else [])]  # The still is frame 0.
        assert decoded == [CLIPS[index].jpegs[t] for t in wanted]
        decoded.clear()


def test_a_batch_s_frames_live_as_long_as_a_view_of_them():
    iterator = batches(threads=0)
    view = next(iterator)["frames"][1:2]
    before = view.copy()
    for _ in range(4):
        next(iterator)
    np.testing.assert_array_equal(view, before)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Clips of 1 to 12 frames, in a train and a val split."""
    root = tmp_path_factory.mktemp("shards")
    drawn_shards.write(root, train=[5, 9, 1, 2, 12, 7, 8, 3], val=[4, 6])
    return root


def opened(root, split="train"):
    return dataset.ClipDataset("drawn", drawn_shards.FORM, split, root)


def test_a_flipped_byte_costs_its_record_and_changes_no_other(shards, tmp_path):
    """In 40 places all over the shard."""
    root, whole, costs = tmp_path / "data", opened(shards), []
    shutil.copytree(shards, root)
    path = drawn_shards.shard(root)
    used = len(path.read_bytes().rstrip(b"\0"))
    for place in np.linspace(0, used - 1, 40).astype(int).tolist():
        drawn_shards.flip(path, place)
        lost, clips = drawn_shards.unreadable(root), opened(root)
        for i in set(range(8)) - set(lost):
            ours, theirs = dataclasses.asdict(clips[i]), dataclasses.asdict(whole[i])
            for name in ours.keys() - {"location"}:
                np.testing.assert_array_equal(ours[name], theirs[name])
        for i in lost:
            with pytest.raises(CorruptRecord, match=f"record {i} of .*drawn-train.* damaged"):
                clips[i]
        costs.append(len(lost))
        drawn_shards.flip(path, place)
    assert costs.count(1) > 10  # Most of a record's bytes belong to it alone.


def by_index(count=3, processes=1, **options):
    """What the examples of `count` global batches of 4 are, whoever loads them."""
    found = {}
    for process in range(processes):
        iterator = loader.training_batches(
            options["clips"],
            functools.partial(
                training_examples.training_example, frames=5, window=60,
                augment=training_examples.Augmentation(gain_db=6.0, snr_db=(0.0, 20.0), shift_ms=20.0),
            ),
            batch_size=4, mirror=True, seed=1, max_corrupt=8,
            process=process, processes=processes, workers=options.get("workers", 0),
        )  # fmt: skip
        for batch in take(iterator, count):
            for row, index in enumerate(batch["example_index"].tolist()):
                found[index] = {name: values[row] for name, values in batch.items()}
        iterator.close()
    return found


def same_examples(a, b):
    assert sorted(a) == sorted(b)
    same([a[i] for i in sorted(a)], [b[i] for i in sorted(b)])


@pytest.fixture(scope="module")
def with_gaps(shards, tmp_path_factory):
    """Clips of which one cannot be read, and its index."""
    root = tmp_path_factory.mktemp("damaged") / "data"
    shutil.copytree(shards, root)
    lost, place = next(iter(drawn_shards.vulnerable(root).items()))
    drawn_shards.flip(drawn_shards.shard(root), place)
    return opened(root), lost


def test_the_next_clip_replaces_a_corrupt_one(with_gaps, shards):
    clips, lost = with_gaps
    found, whole = by_index(clips=clips, count=4), by_index(clips=opened(shards), count=4)
    assert len(found) == 16  # Every clip plain and mirrored.
    for index, example in found.items():
        if example["requested_clip"] == lost:
            assert example["clip"] == (lost + 1) % 8
        else:  # No other is affected.
            same([example], [whole[index]])
    requested, used = (
        np.array([each[name] for each in found.values()]) for name in ("requested_clip", "clip")
    )
    assert loader.corrupt_clips(requested, used, 8) == {lost}


@pytest.mark.parametrize("processes", [2, 4])
def test_any_number_of_processes_loads_the_same_examples(with_gaps, processes):
    clips, _ = with_gaps
    same_examples(by_index(clips=clips, processes=processes), by_index(clips=clips))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_any_number_of_workers_loads_the_same_examples(with_gaps, workers):
    clips, _ = with_gaps
    same_examples(by_index(clips=clips, workers=workers), by_index(clips=clips))


def test_corrupt_clips_are_those_between_the_requested_one_and_the_used_one():
    requested, used = np.array([1, 3, 7, 0]), np.array([1, 5, 1, 0])
    assert loader.corrupt_clips(requested, used, 8) == {3, 4, 7, 0}


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_too_many_corrupt_records_in_a_row_raise(shards, tmp_path, workers):
    root = tmp_path / "data"
    shutil.copytree(shards, root)
    shard = drawn_shards.shard(root)
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])  # Its index is gone.
    iterator = loader.training_batches(
        opened(root), functools.partial(training_examples.training_example, frames=5, window=60),
        batch_size=2, mirror=True, seed=0, max_corrupt=3, workers=workers,
    )  # fmt: skip
    with pytest.raises(CorruptRecord, match=r"record \d of .*drawn-train.* is damaged"):
        next(iterator)
    iterator.close()


def changed(clip, t, jpeg):
    return dataclasses.replace(clip, jpegs=[*clip.jpegs[:t], jpeg, *clip.jpegs[t + 1 :]])


@pytest.mark.parametrize(
    ("jpeg", "reason"),
    [
        (b"", "0 bytes that are not a JPEG"),
        (b"no image", "8 bytes that are not a JPEG"),
        (CLIPS[0].jpegs[0][:-1], "bytes that are not a JPEG"),
        (images.encode_jpeg(np.zeros((2 * H, W, 3), np.uint8)), "has the shape"),
    ],
)
def test_a_damaged_jpeg_is_a_corrupt_record_where_it_is_needed(jpeg, reason):
    clip = changed(CLIPS[0], 7, jpeg)
    with pytest.raises(CorruptRecord, match=f"frame 7 of c0: .*{reason}"):
        clip.decode(4, 5)
    assert clip.decode(0, 7).shape == (7, H, W, 3)


def test_the_speakers_of_clips_are_read_without_their_other_features(with_gaps, shards):
    clips = dataset.ClipDataset("drawn", drawn_shards.FORM, "train", shards, ("id", "frames"))
    speakers = [clip.speaker for clip in opened(shards)]
    assert clips.speaker_of_clips() == speakers and len(set(speakers)) == 3
    damaged, lost = with_gaps
    assert damaged.speaker_of_clips() == [*speakers[:lost], "", *speakers[lost + 1 :]]


def test_a_missing_shard_is_named(shards, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(shards, root)
    drawn_shards.shard(root).unlink()
    with pytest.raises(UserError, match="lacks 1 of the 1 shards of train, e.g. drawn-train"):
        opened(root)
    assert len(opened(root, "val")) == 2


def test_the_longest_clip_is_in_the_metadata_or_the_message_has_the_cure(shards, tmp_path):
    assert (opened(shards).longest, opened(shards, "val").longest) == (12, 6)
    root = tmp_path / "data"
    shutil.copytree(shards, root)
    next(root.glob("drawn/*/*/metadata.json")).write_text("{}")
    with pytest.raises(UserError, match="`prepare` again, or give --config.clip_frames"):
        _ = opened(root).longest


def sound(**fields):
    """Augments 1 s of 200 Hz at a quarter of full scale, at 8 kHz."""
    tone = np.round(8192 * np.sin(2 * np.pi * 200 / 8000 * np.arange(8000))).astype(np.int16)
    rng = np.random.default_rng(0)
    return tone, training_examples.Augmentation(**fields)(tone, 8000, rng)


def test_augmentation_is_off_by_default():
    assert not training_examples.Augmentation()
    np.testing.assert_array_equal(*sound())


def test_gain_is_within_its_range_and_clips():
    tone, louder = sound(gain_db=6.0)
    ratio = louder.astype(float) @ tone / (tone.astype(float) @ tone)
    assert 10 ** (-6 / 20) <= ratio <= 10 ** (6 / 20) and abs(ratio - 1) > 0.01
    np.testing.assert_allclose(louder, ratio * tone, atol=1)
    rng = np.random.default_rng(0)
    loud = [training_examples.Augmentation(gain_db=60.0)(tone, 8000, rng) for _ in range(10)]
    assert max(each.max() for each in loud) == 32767
    assert all((np.sign(each) * np.sign(tone) >= 0).all() for each in loud)  # Nothing wraps.


def test_voices_are_up_to_so_many_semitones_higher_and_deeper():
    rng, tone = np.random.default_rng(0), sound()[0]
    of = training_examples.Augmentation(voice=4.0)
    spectra = [
        np.abs(np.fft.rfft(each)) for each in (tone, *(of(tone, 8000, rng) for _ in range(30)))
    ]
    before, *after = (np.argmax(spectrum) for spectrum in spectra)
    moved = 12 * np.log2(np.array(after) / before)
    assert of and -4.2 < moved.min() < -2 and 2 < moved.max() < 4.2


def test_noise_has_the_given_level():
    tone, noisy = sound(snr_db=(20.0, 20.0))
    noise = noisy.astype(float) - tone
    assert 10 * np.log10(np.mean(tone.astype(float) ** 2) / np.mean(noise**2)) == pytest.approx(
        20, abs=0.3
    )
    silent = training_examples.Augmentation(snr_db=(0.0, 0.0))(
        np.zeros(9, np.int16), 8000, np.random.default_rng(0)
    )
    assert not silent.any()


def test_sound_moves_by_at_most_the_given_shift_and_silence_moves_in():
    audio, shifts = np.arange(1, 8001, dtype=np.int16), []
    rng = np.random.default_rng(0)
    for _ in range(50):
        moved = training_examples.Augmentation(shift_ms=20.0)(audio, 8000, rng)
        assert len(moved) == len(audio)
        shift = int(np.argmax(moved != 0)) or int(1 - moved[0])
        shifts.append(shift)
        inside = slice(max(shift, 0), 8000 + min(shift, 0))
        np.testing.assert_array_equal(moved[inside], audio[inside] - shift)
        assert np.count_nonzero(moved) == 8000 - abs(shift)
    assert -160 <= min(shifts) < -100 and 100 < max(shifts) <= 160


def test_batches_by_length_pad_little_and_hold_every_clip_once():
    lengths = np.random.default_rng(0).integers(1, 300, 57).tolist()
    batches = loader.batch_by_length(lengths, 8)
    assert sorted(i for batch in batches for i in batch) == list(range(57))
    assert [len(batch) for batch in batches] == [8] * 7 + [1]
    spread = sum(max(lengths[i] for i in b) * len(b) - sum(lengths[i] for i in b) for b in batches)
    assert spread < 0.15 * sum(lengths)


def test_few_lengths_are_compiled():
    lengths = [loader.padded_length(n) for n in range(1, 20001)]
    assert all(n <= length for n, length in enumerate(lengths, 1))
    assert all(length % loader.PAD == 0 for length in lengths)
    assert all(length < 1.25 * n + loader.PAD for n, length in enumerate(lengths, 1))
    assert len(set(lengths)) <= 8 + 4 * 7
    assert loader.padded_length(75) == 75
