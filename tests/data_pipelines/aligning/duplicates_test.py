"""Copies of a recording are found, however encoded; the same sentence spoken again is another."""

import io

import av
import numpy as np
import pytest

from data_pipelines.aligning import duplicates
from data_pipelines.media import images
from data_pipelines.media.sound import resample, to_mono_float

RATE = 16000


def speech(sentence, voice, pace=1.0):
    """3 s of noise in a random band every 120 ms, as int16; `sentence` decides which bands."""
    bands = np.random.default_rng(sentence).uniform(250, 2200, 25)
    rng, t = np.random.default_rng(voice), np.arange(3 * RATE)
    sound = np.zeros(len(t))
    for i, band in enumerate(bands):
        middle = (0.06 + 0.12 * i) * pace * RATE
        envelope = np.exp(-(((t - middle) / (0.05 * RATE)) ** 2))
        slow = np.interp(t, np.arange(0, len(t) + 160, 160), rng.normal(size=len(t) // 160 + 1))
        sound += envelope * slow * np.cos(2 * np.pi * band * t / RATE)
        sound += 0.1 * envelope * rng.normal(size=len(t))
    return np.rint(6000 * sound / np.abs(sound).max()).astype(np.int16)


def face(seed):
    """A frame of 16 x 12 as JPEG: patches of grey that the seed decides."""
    grey = np.random.default_rng(seed).integers(0, 255, (4, 3, 1), np.uint8)
    return images.encode_jpeg(np.repeat(np.repeat(np.repeat(grey, 4, 0), 4, 1), 3, 2))


def fingerprint(audio, rate=RATE, picture=0):
    return duplicates.fingerprint(audio, rate, [face(picture)])


def aac(audio):
    """Through AAC at 24 kbit/s."""
    encoded = io.BytesIO()
    with av.open(encoded, "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=24000)
        samples = to_mono_float(audio)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = RATE
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    encoded.seek(0)
    with av.open(encoded) as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return np.rint(np.concatenate(frames) * 32767).astype(np.int16)


def resampled(audio, rate):
    return np.rint(resample(to_mono_float(audio), RATE, rate) * 32767).astype(np.int16)


RECORDING = speech(sentence=1, voice=1)


@pytest.mark.parametrize(
    ("copy", "rate"),
    [
        (RECORDING, RATE),
        (RECORDING // 8, RATE),  # 18 dB less.
        (np.clip(2 * RECORDING.astype(np.int32), -9000, 9000).astype(np.int16), RATE),
        (resampled(RECORDING, 8000), 8000),
        (resampled(RECORDING, 44100), 44100),
        (aac(RECORDING), RATE),
        (aac(RECORDING // 4)[517:], RATE),
        (RECORDING[RATE // 2 :], RATE),
        (np.pad(RECORDING, (4321, 0)), RATE),
    ],
    ids="same quieter clipped 8kHz 44kHz aac quiet-aac cut late".split(),
)
def test_a_copy_is_found_however_it_was_encoded(copy, rate):
    others = [fingerprint(speech(sentence=k, voice=1)) for k in range(2, 6)]
    found = duplicates.find_duplicates([*others, fingerprint(RECORDING), fingerprint(copy, rate)])
    assert [pair[:2] for pair in found] == [(4, 5)]
    assert 0.64 <= found[0][2] <= 1


def test_identical_recordings_have_similarity_1():
    assert duplicates.find_duplicates([fingerprint(RECORDING), fingerprint(RECORDING)]) == [
        (0, 1, 1.0)
    ]


def test_a_sentence_spoken_again_is_another_recording():
    again = [fingerprint(speech(1, voice, pace)) for voice, pace in ((1, 1), (2, 1.04), (3, 0.95))]
    assert duplicates.find_duplicates(again) == []


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(3 * RATE),
        6000 * np.sin(np.arange(3 * RATE) / 5),
        6000 * np.sign(np.sin(np.arange(3 * RATE) / 37)),
        np.full(3 * RATE, 3000),
    ],
    ids="silence tone hum constant".split(),
)
def test_silence_and_steady_sound_are_no_evidence(sound):
    audio = sound.astype(np.int16)
    assert (
        duplicates.find_duplicates(
            [fingerprint(audio), fingerprint(audio), fingerprint(audio // 2)]
        )
        == []
    )


def test_a_dubbed_face_is_another_clip_and_a_mirrored_one_is_not():
    mirrored = images.encode_jpeg(images.decode_jpeg(face(0))[:, ::-1])
    clips = [fingerprint(RECORDING), fingerprint(RECORDING, picture=7)]
    assert duplicates.find_duplicates(clips) == []
    clips.append(duplicates.fingerprint(RECORDING, RATE, [mirrored]))
    assert [pair[:2] for pair in duplicates.find_duplicates(clips)] == [(0, 2)]


def test_few_duplicates_among_many_in_a_kilobyte_each():
    clips = [fingerprint(speech(k, k)) for k in range(24)]
    clips += [fingerprint(aac(speech(k, k))) for k in (7, 13)]
    assert {pair[:2] for pair in duplicates.find_duplicates(clips)} == {(7, 24), (13, 25)}
    assert clips[0].words.nbytes + clips[0].picture.nbytes < 1000


def test_no_clips_and_almost_empty_clips():
    assert duplicates.find_duplicates([]) == []
    assert (
        duplicates.find_duplicates(
            [fingerprint(np.zeros(0, np.int16)), fingerprint(RECORDING[:200])]
        )
        == []
    )
