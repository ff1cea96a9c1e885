import json

import cv2
import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.loading.dataset import DatasetClip
from data_pipelines.media import decode
from data_pipelines.media.images import encode_jpeg
from s2f_jax.evaluation import evaluate
from s2f_jax.evaluation.scorers import MetricSuite, UnavailableScorer
from s2f_jax.metrics.mouth_probe import MouthProbeScorer
from s2f_jax.metrics.pictures import ImageScorer
from s2f_jax.metrics.spontaneous import EyeMotionScorer

_H, _W, _FPS, _RATE = 32, 24, 25, 1000


def _clip(index, frames=12):
    """Speakers of 2 clips each; the mouth opens with the sound's level, silent at either end."""
    appearance, rng = np.random.default_rng(index // 2), np.random.default_rng(100 + index)
    skin = appearance.uniform(140, 230, 3)
    openness = np.convolve(rng.uniform(0, 1, frames + 2), np.ones(3) / 3, "valid")
    openness[:3] = openness[-3:] = rng.uniform(0, 0.02, 3)[:frames]
    images = np.full((frames, _H, _W, 3), 0, np.uint8)
    landmarks = np.zeros((frames, 68, 2), np.float32)
    landmarks[:, 42:48, 0] = 8  # The eyes are 8 pixels apart.
    for t, share in enumerate(openness):
        images[t] = skin
        axes = (4 * 16, round((0.3 + 3 * share) * 16))
        cv2.ellipse(images[t], (12 * 16, 23 * 16), axes, 0, 0, 360, (40, 20, 20), -1, 16, 4)
        landmarks[t, 65:68, 1] = 6 * share
    stride = _RATE // _FPS
    level = np.where(openness < 0.03, 0.01, 0.2 + openness)
    noise = rng.choice([-1.0, 1.0], (frames, stride)) * level[:, None]
    return DatasetClip(
        id=f"clip/{index}",
        speaker=f"s{index // 2}",
        transcript=f"words {index}",
        fps=_FPS,
        jpegs=[encode_jpeg(image) for image in images],
        landmarks=landmarks,
        blink=np.zeros(frames, np.float32),
        audio=np.round(8000 * noise).astype(np.int16).ravel(),
        audio_rate=_RATE,
        words=[],
        phones=[],
    )


class _Oracle:
    """A model that knows every sound's video, plus a little noise; records the shape of its calls."""

    def __init__(self, clips):
        self.videos = {clip.audio[: 6 * 40].tobytes(): clip.frames for clip in clips}
        self.shapes = []

    def __call__(self, stills, audios, seed):
        self.shapes.append(stills.shape)
        rng = np.random.default_rng(seed)
        videos = []
        for audio in audios:
            known = self.videos[audio[: 6 * 40].tobytes()]
            frames = np.resize(known, (len(audio) // 40, *known.shape[1:])).astype(int)
            frames += rng.integers(-3, 4, frames.shape)
            videos.append(np.clip(frames, 0, 255).astype(np.uint8))
        return videos


def _metrics(training=()):
    return MetricSuite([ImageScorer(), MouthProbeScorer(training), EyeMotionScorer()])


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Five clips, one of them shorter, in batches of two."""
    output = tmp_path_factory.mktemp("evaluation")
    clips = [*map(_clip, range(4)), _clip(4, frames=9)]
    oracle = _Oracle(clips)
    report = evaluate.evaluate(
        clips, oracle, _metrics(list(map(_clip, range(20, 36)))), output,
        corpus="drawn", split="test", batch_size=2, samples=3,
    )  # fmt: skip
    return output, report, oracle


def test_every_row_has_every_metric_of_every_clip(result):
    output, report, _ = result
    assert list(report["rows"]) == ["model", "ground_truth", "frozen_still", "shuffled_audio"]
    for row, cells in report["rows"].items():
        assert list(cells) == [
            "psnr", "psnr_mouth", "ssim", "cpbd", "fdbm",
            "mouth_correlation", "mouth_loudness", "mouth_energy", "silence_motion",
            "eye_motion", *(["seed_spread_eyes", "seed_spread_mouth"] if row == "model" else []),
        ]  # fmt: skip
        assert {c["clips"] + sum(c["unscored"].values()) for c in cells.values()} == {5}
    assert json.loads((output / "report.json").read_text()) == report
    assert len((output / "clips.csv").read_text().splitlines()) == 1 + 4 * 5


def test_the_ground_truth_is_perfect(result):
    cells = result[1]["rows"]["ground_truth"]
    assert cells["psnr"]["mean"] is None and cells["psnr"]["clips"] == 5
    assert cells["ssim"]["mean"] == pytest.approx(1, abs=1e-5)
    for metric in ("mouth_correlation", "mouth_energy", "silence_motion"):
        assert cells[metric]["mean"] == pytest.approx(1)


def test_the_frozen_still_does_not_move(result):
    cells = result[1]["rows"]["frozen_still"]
    assert cells["mouth_energy"]["mean"] == 0
    assert cells["silence_motion"]["mean"] == 0
    assert cells["mouth_correlation"]["unscored"] == {"the generated mouth does not move": 5}


def test_a_good_model_is_above_the_sanity_rows(result):
    rows = result[1]["rows"]
    for metric in ("psnr", "psnr_mouth", "mouth_correlation"):
        assert rows["model"][metric]["mean"] > rows["shuffled_audio"][metric]["mean"]
    assert rows["model"]["psnr"]["mean"] > 40
    assert rows["model"]["mouth_correlation"]["mean"] > 0.95
    assert rows["model"]["mouth_loudness"]["mean"] > 0.5


def test_the_model_gets_batches_of_one_size(result):
    assert set(result[2].shapes) == {(2, _H, _W, 3)}
    # Three batches, with own and other sound, and with four seeds; the figure of faces.
    assert len(result[2].shapes) == 3 * (2 + 4) + 1


def test_the_model_alone_has_a_spread_over_seeds(result):
    cells = result[1]["rows"]["model"]
    for metric in ("seed_spread_eyes", "seed_spread_mouth"):
        assert cells[metric]["clips"] == 5
        # The oracle's noise is uniform on -3 to 3, of deviation 2; that of four samples is less.
        assert 1.7 < cells[metric]["mean"] < 2
        assert not any(metric in result[1]["rows"][row] for row in evaluate.ROWS[1:])


def test_a_few_clips_of_a_large_split_are_generated_with_several_seeds(tmp_path):
    clips, oracle = [_clip(i) for i in range(20)], _louder_is_brighter
    report = evaluate.evaluate(
        clips, oracle, _metrics(), tmp_path, corpus="drawn", split="val", samples=0, rows=("model",)
    )
    cell = report["rows"]["model"]["seed_spread_eyes"]
    assert (cell["clips"], cell["mean"]) == (16, 0)
    assert cell["unscored"] == {"not among the 16 clips that are generated with 4 seeds": 4}


def test_the_report_has_the_conventions(result):
    conventions = result[1]["conventions"]
    assert conventions["size"] == "32x24 pixels, height x width"
    assert "16 training clips of 8 speakers" in conventions["mouth_opening"]
    assert (
        "of 5, " in conventions["shuffled_audio"]
        and "5 by other words" in conventions["shuffled_audio"]
    )


def test_samples_show_both_sides_with_sound(result):
    paths = sorted((result[0] / "samples").iterdir())
    assert len(paths) == 3
    sample = decode.decode_clip(paths[0])
    assert sample.frames.shape[1:] == (_H, 2 * _W, 3)
    assert sample.audio.size
    assert "<figure" in (result[0] / "report.html").read_text()


def test_clips_whose_mouth_cannot_be_measured_are_counted(tmp_path):
    clips = [_clip(0), _clip(2)]
    report = evaluate.evaluate(
        clips, _Oracle(clips), _metrics(), tmp_path, corpus="drawn", split="val", samples=0
    )
    cell = report["rows"]["model"]["mouth_energy"]
    assert cell["mean"] is None and cell["clips"] == 0
    assert cell["unscored"] == {"no training clips to fit the mouth's probe on": 2}
    assert report["rows"]["model"]["ssim"]["clips"] == 2
    assert report["conventions"]["mouth_opening"].startswith("not measured")


def test_faces_that_the_probe_misreads_are_not_scored(tmp_path):
    clips = [_clip(0), _clip(2)]
    clips[1].landmarks[:, 65:68, 1] = 6 - clips[1].landmarks[:, 65:68, 1]
    training = list(map(_clip, range(20, 36)))
    report = evaluate.evaluate(
        clips, _Oracle(clips), _metrics(training), tmp_path, corpus="drawn", split="val", samples=0
    )
    cell = report["rows"]["model"]["mouth_correlation"]
    assert cell["clips"] == 1
    assert cell["unscored"] == {"the probe misreads this speaker's real mouth": 1}
    assert report["rows"]["model"]["psnr"]["clips"] == 2


def test_one_clip_has_no_other_sound(tmp_path):
    clips = [_clip(0)]
    report = evaluate.evaluate(
        clips, _Oracle(clips), _metrics([_clip(4), _clip(6)]), tmp_path, corpus="drawn", split="val"
    )
    assert report["rows"]["shuffled_audio"]["psnr"]["clips"] == 0
    assert report["rows"]["model"]["psnr"]["clips"] == 1


def _louder_is_brighter(stills, audios, seed):
    """A model whose frame depends on its still and its own sound alone."""
    levels = [np.abs(audio.reshape(-1, 40).astype(float)).mean(axis=1) // 300 for audio in audios]
    return [
        np.clip(still[None] + level[:, None, None, None], 0, 255).astype(np.uint8)
        for still, level in zip(stills, levels, strict=True)
    ]


def test_clips_of_any_length_are_scored_once_whatever_the_batches(tmp_path):
    """Clips of lengths 1 to 60, unordered; the report has the order of the corpus."""
    clips = [_clip(i, frames) for i, frames in enumerate([12, 1, 30, 2, 9, 60, 7])]
    training, reports = list(map(_clip, range(20, 36))), []
    for size in (1, 3, 8):
        output = tmp_path / str(size)
        report = evaluate.evaluate(
            clips, _louder_is_brighter, _metrics(training), output,
            corpus="drawn", split="test", batch_size=size, samples=2,
        )  # fmt: skip
        rows = [line.split(",") for line in (output / "clips.csv").read_text().splitlines()[1:]]
        assert [row[1] for row in rows] == 4 * [clip.id for clip in clips]
        reports.append((report["rows"], sorted(p.name for p in (output / "samples").iterdir())))
    for rows, samples in reports[1:]:
        assert samples == reports[0][1]
        for row, cells in rows.items():
            for metric, cell in cells.items():
                alone = reports[0][0][row][metric]
                assert cell["unscored"] == alone["unscored"]
                assert (cell["mean"] is None) == (alone["mean"] is None)
                if cell["mean"] is not None:
                    assert cell["mean"] == pytest.approx(alone["mean"], rel=1e-5)


def test_a_damaged_record_ends_an_evaluation_with_its_name_and_the_remedy(tmp_path):
    clips = [_clip(0), _clip(2)]
    clips[1].jpegs[3] = clips[1].jpegs[3][:100]
    with pytest.raises(UserError, match="frame 3 of clip/2: .* run `prepare` again"):
        evaluate.evaluate(
            clips, _louder_is_brighter, _metrics(), tmp_path, corpus="drawn", split="val", samples=0
        )


def test_a_split_without_clips_is_refused(tmp_path):
    with pytest.raises(UserError, match="'val' of drawn has no clips"):
        evaluate.evaluate([], lambda *_: [], _metrics(), tmp_path, corpus="drawn", split="val")


@pytest.mark.parametrize("count", [2, 3, 10, 60])
def test_shuffling_leaves_no_clip_its_own_sound(count):
    for seed in range(5):
        partners = evaluate.shuffled_partners(["s"] * count, ["w"] * count, seed)
        assert sorted(partners) == list(range(count))
        assert all(i != j for i, j in enumerate(partners))


def test_shuffling_prefers_another_speaker_with_other_words():
    speakers = [f"s{i // 5}" for i in range(40)]
    words = [f"w{i % 10}" for i in range(40)]
    partners = evaluate.shuffled_partners(speakers, words, 0)
    assert all(speakers[i] != speakers[j] for i, j in enumerate(partners))
    assert all(words[i] != words[j] for i, j in enumerate(partners))
    assert partners == evaluate.shuffled_partners(speakers, words, 0)
    assert partners != evaluate.shuffled_partners(speakers, words, 1)


def test_an_unavailable_scorer_gives_its_reason_and_the_others_score(tmp_path):
    clips = [_clip(0), _clip(2)]
    missing = UnavailableScorer(
        ("wer", "cer"), "lip reader", UserError("there is no checkpoint at runs/x")
    )
    report = evaluate.evaluate(
        clips,
        _Oracle(clips),
        MetricSuite([ImageScorer(), missing]),
        tmp_path,
        corpus="drawn",
        split="val",
    )
    cells = report["rows"]["model"]
    assert cells["wer"] == {
        "mean": None, "low": None, "high": None, "clips": 0, "unscored": {"no lip reader": 2}
    }  # fmt: skip
    assert cells["ssim"]["clips"] == 2
    assert report["conventions"]["lip_reader"] == "none: there is no checkpoint at runs/x"


def test_a_metric_has_one_scorer():
    with pytest.raises(ValueError, match="two scorers for .*psnr"):
        MetricSuite([ImageScorer(), ImageScorer()])


def test_rows_that_were_not_requested_are_not_made(tmp_path):
    clips = [_clip(0), _clip(2)]
    oracle = _Oracle(clips)
    report = evaluate.evaluate(
        clips, oracle, _metrics(), tmp_path, corpus="drawn", split="val", rows=("model",)
    )
    assert list(report["rows"]) == ["model"]
    assert len(oracle.shapes) == 2 + 4  # The clips, those with four seeds, the figure of faces.
