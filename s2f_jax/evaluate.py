"""Every clip of a split through the metrics: the model, and the rows that show what they mean."""

import collections
import dataclasses
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import tqdm
from etils import epath

from data_pipelines import loader, measures, media, prepare, stored
from data_pipelines.errors import BadClip, UserError
from s2f_jax import report, runs
from s2f_jax.animate import Animator
from s2f_jax.metrics import image, motion
from s2f_jax.runs import Config

# stills uint8 [B, H, W, 3], B sounds int16 [S_i], seed -> B videos uint8 [T_i, H, W, 3].
Generate = Callable[[np.ndarray, list[np.ndarray], int], list[np.ndarray]]
Scores = dict[str, motion.Score]  # By metric.

_TRUSTED = 0.5  # Correlation of the probe with a real clip's landmarks, below which it misreads.
_VIDEOS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"}
_IMAGE_METRICS = {
    "psnr": jax.jit(image.psnr),
    "psnr_mouth": jax.jit(image.psnr_mouth),
    "ssim": jax.jit(image.ssim),
}
_MOUTH_METRICS = ("mouth_correlation", "mouth_loudness", "mouth_energy", "silence_motion")
_PIXELS = "uint8 RGB, never rescaled; frame 0 counts like any other"
_IMAGE_CONVENTIONS = {
    "psnr": "255^2 over the mean squared error of all pixels of a clip",
    "psnr_mouth": "rows 72-111, columns 28-71 of an aligned 128x96 face, scaled with the image",
    "ssim": "Gaussian window 11x11, sigma 1.5, biased covariance, valid region, mean over channels",
}


def run(config: Config, workdir: str, data_dir: str | None, split: str) -> None:
    """Scores a run's best checkpoint on a split: `evaluation/<split>` in its workdir.

    Raises UserError where the workdir holds no checkpoint or a run of another config.
    """
    folder = runs.open_workdir(config, workdir)
    shards = prepare.data_dir(config.data, data_dir)
    clips = stored.open_clips(config.data, split, shards)
    try:
        train_clips = stored.open_clips(config.data, "train", shards)
    except UserError as missing:
        print(f"the mouth's opening is not measured: {missing}")
        train_clips = []
    animator = Animator.load(folder)
    output = folder / "evaluation" / split
    result = evaluate(
        clips,
        animator.generate_clips,
        train_clips,
        output,
        corpus=config.data.corpus,
        split=split,
        batch_size=config.eval_batch_size,
        seed=config.seed,
    )
    print(report.markdown(result))
    print(f"{output}/report.html")


def evaluate(
    clips: Sequence,
    generate: Generate,
    train_clips: Sequence,
    output: epath.PathLike,
    *,
    corpus: str,
    split: str,
    batch_size: int = 8,
    seed: int = 0,
    samples: int = 8,
    probe_clips: int = 240,
) -> dict[str, Any]:
    """Scores a model on `clips` and writes the report's files and sample videos into `output`.

    Clips are those of data_pipelines.loader. The probe of the mouth's opening is fitted on at most
    `probe_clips` of `train_clips`. Returns what report.json holds.

    Raises:
      UserError: there are no clips.
    """
    if not len(clips):
        raise UserError(f"The split {split!r} of {corpus} has no clips; evaluate another one.")
    probe, about_probe = _probe(train_clips, probe_clips)
    known = map(clips.__getitem__, range(len(clips)))
    known = [(clip.speaker, clip.transcript, len(clip)) for clip in known]
    speakers, words, lengths = zip(*known, strict=True)
    partners = shuffled(speakers, words, seed)
    shown = set(_spread_over_speakers(speakers, samples, seed))
    scores, videos, size = collections.defaultdict(dict), {}, ""
    for indices in _batches(lengths, batch_size):
        batch = [clips[i] for i in indices]
        rows = _rows(batch, [clips[partners[i]].audio for i in indices], generate, seed, batch_size)
        of_batch = _score(batch, rows, probe, batch_size)
        for i, clip, video, scored in zip(
            indices, batch, rows["model"], of_batch["model"], strict=True
        ):
            if i in shown:
                videos[i] = _sample(output, clip, video, scored)
        size = "{}x{}".format(*batch[0].frames.shape[1:3])
        for row, of_row in of_batch.items():
            if row == "shuffled_audio" and len(clips) == 1:
                none = _none(of_row[0].values, "there is no other clip whose sound to use")
                of_row = [dataclasses.replace(clip, values=none) for clip in of_row]
            scores[row] |= zip(indices, of_row, strict=True)
    conventions = {
        "size": f"{size} pixels, height x width",
        "pixels": _PIXELS,
        **_IMAGE_CONVENTIONS,
        "mouth_opening": about_probe,
        "frozen_still": "frame 0 repeated",
        "shuffled_audio": _about(partners, speakers, words),
        "sound": "every row is held against the clip's own sound",
        "silence": "20 dB under the clip's loudest frame",
        "seed": seed,
    }
    in_order = [of_row[i] for of_row in scores.values() for i in range(len(clips))]
    shown_in_order = [videos[i] for i in sorted(videos)]
    return report.write(output, corpus, split, conventions, in_order, shown_in_order)


def evaluate_videos(
    videos_dir: epath.PathLike, reference_dir: epath.PathLike, output: epath.PathLike
) -> dict[str, Any]:
    """Scores the videos of one folder against those of the same name (without the suffix) in
    another, by what needs no model; writes the report's files into `output`.

    Raises:
      UserError: a folder is missing or has no video in it.
    """
    found, reference = _videos_in(videos_dir, "--videos"), _videos_in(reference_dir, "--reference")
    names = sorted(found.keys() | reference.keys())
    scores, samples = [], []
    for name in tqdm.tqdm(names, "evaluate", unit="video", disable=not sys.stderr.isatty()):
        values, pair = _compare(found.get(name), reference.get(name))
        scores.append(report.ClipScores("videos", name, "", values))
        if pair is not None and len(samples) < 8:
            path = epath.Path(output) / "samples" / f"{_file_name(name)}.mp4"
            frames = np.concatenate([pair[0].frames, pair[1].frames], axis=2)
            sound = pair[0] if pair[0].audio.size else pair[1]
            audio = sound.audio if sound.audio.size else None
            media.write_video(path, frames, pair[1].fps, audio, sound.audio_rate)
            samples.append(report.Sample(name, report.caption(values), path))
    conventions = {
        "videos": f"{len(found)} in {epath.Path(videos_dir).name}",
        "reference": f"{len(reference)} in {epath.Path(reference_dir).name}",
        "pixels": _PIXELS,
        **_IMAGE_CONVENTIONS,
        "speakers": "unknown: the intervals are over clips alone, and so too narrow",
    }
    corpus = epath.Path(reference_dir).name
    return report.write(output, corpus, "videos", conventions, scores, samples)


def shuffled(speakers: Sequence[str], words: Sequence[str], seed: int) -> list[int]:
    """For every clip another one: a permutation without a fixed point, as long as there are two.

    The other clip has other words, and then another speaker, wherever that is possible by
    exchanging two.
    """
    rng, count = np.random.default_rng(seed), len(speakers)
    partners: list[int] = rng.permutation(count).tolist()

    def cost(i: int, j: int) -> int:
        return 100 * (i == j) + 2 * (words[i] == words[j]) + (speakers[i] == speakers[j])

    for _ in range(3):  # The first pass leaves next to nothing to the others.
        for i in range(count):
            if not cost(i, partners[i]):
                continue
            for j in rng.permutation(count)[:500].tolist():
                now = cost(i, partners[i]) + cost(j, partners[j])
                if cost(i, partners[j]) + cost(j, partners[i]) < now:
                    partners[i], partners[j] = partners[j], partners[i]
    return partners


def _probe(train_clips: Sequence, most: int) -> tuple[motion.Probe | None, str]:
    """The probe, and what the report says of it."""
    try:
        probe = motion.fit_probe(train_clips, most)
    except ValueError as error:
        return None, f"not measured: {error}"
    return probe, (
        "inner lips over the distance of the eyes, by ridge regression from the mouth box's pixels"
        f" (11x10 cells, ridge {probe.ridge:.2g}), fitted on {probe.clips} training clips of"
        f" {probe.speakers} speakers; correlation with the landmarks on {probe.held_out}:"
        f" {probe.correlation:.3f}, worst clip {probe.worst:.2f}"
    )


def _batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """The clips of each batch, of like lengths, and where the evaluation stands."""
    count = len(lengths)
    bar = tqdm.tqdm(total=count, desc="evaluate", unit="clip", disable=not sys.stderr.isatty())
    for number, indices in enumerate(loader.by_length(lengths, size), 1):
        yield indices
        bar.update(len(indices))
        if bar.disable and number % 10 == 0:
            print(f"evaluate: {number * size} of {count} clips", flush=True)
    bar.close()


def _rows(
    clips: Sequence, others: Sequence[np.ndarray], generate: Generate, seed: int, size: int
) -> dict[str, list[np.ndarray]]:
    """Row -> the video of every clip; `others` are the sounds for shuffled_audio."""
    real = [clip.frames for clip in clips]
    # Always whole batches, so that the model is compiled once.
    padded = [min(i, len(clips) - 1) for i in range(size)]
    stills = np.stack([real[i][0] for i in padded])
    own = [clips[i].audio for i in padded]
    other = [media.fit_length(others[i], len(clips[i].audio)) for i in padded]
    rows = {
        "model": generate(stills, own, seed)[: len(clips)],
        "ground_truth": real,
        "frozen_still": [np.broadcast_to(frames[:1], frames.shape) for frames in real],
        "shuffled_audio": generate(stills, other, seed)[: len(clips)],
    }
    for row, videos in rows.items():
        for clip, video, frames in zip(clips, videos, real, strict=True):
            if video.shape != frames.shape:
                raise ValueError(f"{row}, {clip.id}: {video.shape} is not {frames.shape}")
    return rows


def _score(
    clips: Sequence, rows: dict[str, list[np.ndarray]], probe: motion.Probe | None, size: int
) -> dict[str, list[report.ClipScores]]:
    """Row -> the scores of every clip."""
    real = [clip.frames for clip in clips]
    scored = {}
    for row, videos in rows.items():
        of_images = _image_scores(videos, real, size)
        scored[row] = [
            report.ClipScores(
                row, clip.id, clip.speaker, values | _mouth_scores(clip, video, probe)
            )
            for clip, video, values in zip(clips, videos, of_images, strict=True)
        ]
    return scored


def _image_scores(
    videos: Sequence[np.ndarray], real: Sequence[np.ndarray], size: int
) -> list[Scores]:
    """Videos uint8 [T_i, H, W, 3] twice -> scores of each, computed as one batch of `size`."""
    frames = loader.padded(max(map(len, real)))
    batch = np.zeros((2, size, frames, *real[0].shape[1:]), np.uint8)
    mask = np.arange(frames) < np.array([len(v) for v in real] + [1] * (size - len(real)))[:, None]
    for side, of_side in zip(batch, (videos, real), strict=True):
        for padded, video in zip(side, of_side, strict=False):
            padded[: len(video)] = video
    values = {name: np.asarray(metric(*batch, mask)) for name, metric in _IMAGE_METRICS.items()}
    return [{name: float(of[i]) for name, of in values.items()} for i in range(len(real))]


def _mouth_scores(clip, video: np.ndarray, probe: motion.Probe | None) -> Scores:
    """How the mouth of a video moves, against the clip's own video and sound."""
    if probe is None:
        return _none(_MOUTH_METRICS, "no training clips to fit the mouth's probe on")
    real, generated = probe(clip.frames), probe(video)
    trust = motion.mouth_correlation(real, measures.mouth_opening(clip.landmarks))
    if not isinstance(trust, str) and not trust > _TRUSTED:
        return _none(_MOUTH_METRICS, "the probe misreads this speaker's real mouth")
    level = measures.loudness(clip.audio, len(clip.frames))
    return {
        "mouth_correlation": motion.mouth_correlation(generated, real),
        "mouth_loudness": motion.mouth_loudness(generated, level),
        "mouth_energy": motion.mouth_energy(generated, real),
        "silence_motion": motion.silence_motion(generated, real, level),
    }


def _about(partners: Sequence[int], speakers: Sequence[str], words: Sequence[str]) -> str:
    pairs = [(i, j) for i, j in enumerate(partners) if i != j]
    other_speaker = sum(speakers[i] != speakers[j] for i, j in pairs)
    other_words = sum(words[i] != words[j] for i, j in pairs)
    return (
        f"the model driven by another clip's sound: of {len(pairs)}, {other_speaker} by another"
        f" speaker's, {other_words} by other words"
    )


def _spread_over_speakers(speakers: Sequence[str], count: int, seed: int) -> list[int]:
    """`count` clips at random, of as many speakers as there are."""
    nth, seen = {}, collections.Counter()
    for i in np.random.default_rng(seed).permutation(len(speakers)).tolist():
        nth[i] = seen[speakers[i]]
        seen[speakers[i]] += 1
    return sorted(nth, key=lambda i: nth[i])[:count]


def _sample(
    output: epath.PathLike, clip, video: np.ndarray, scored: report.ClipScores
) -> report.Sample:
    """Writes the generated video beside the real one, with sound."""
    path = epath.Path(output) / "samples" / f"{_file_name(clip.id)}.mp4"
    frames = np.concatenate([video, clip.frames], axis=2)
    media.write_video(path, frames, clip.fps, clip.audio, clip.audio_rate)
    title = f"{clip.id}: {clip.transcript}" if clip.transcript else clip.id
    values = {metric: scored.values[metric] for metric in ("psnr", "ssim", "mouth_correlation")}
    return report.Sample(title, report.caption(values), path)


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)


def _videos_in(folder: epath.PathLike, flag: str) -> dict[str, epath.Path]:
    """Name without suffix -> video file."""
    if not epath.Path(folder).is_dir():
        raise UserError(f"{flag}={folder} is not a folder; give one with videos in it.")
    found: dict[str, epath.Path] = {}
    for path in sorted(epath.Path(folder).iterdir()):
        if path.suffix.lower() in _VIDEOS:
            if path.stem in found:
                raise UserError(
                    f"{flag}={folder} has both {found[path.stem].name} and {path.name};"
                    " leave one video of each name."
                )
            found[path.stem] = path
    if not found:
        kinds = ", ".join(sorted(_VIDEOS))
        raise UserError(f"{flag}={folder} has no video in it; give a folder of {kinds} files.")
    return found


def _compare(
    video: epath.Path | None, reference: epath.Path | None
) -> tuple[Scores, tuple[media.Clip, media.Clip] | None]:
    """The scores of a video against its reference, and the two where they can be compared."""
    if video is None or reference is None:
        where = "among the videos" if video is None else "in the reference"
        return _none(_IMAGE_METRICS, f"no video of that name {where}"), None
    clips = []
    for path, what in ((video, "the video"), (reference, "the reference")):
        try:
            clips.append(media.decode_clip(path))
        except BadClip as error:
            return _none(_IMAGE_METRICS, f"{what}: {error}"), None
    generated, real = clips
    reason = ""
    if generated.frames.shape[1:] != real.frames.shape[1:]:
        reason = "another size than the reference"
    elif len(generated.frames) != len(real.frames):
        reason = "another number of frames than the reference"
    elif min(real.frames.shape[1:3]) < 11:
        reason = "smaller than the 11x11 window of SSIM"
    if reason:
        return _none(_IMAGE_METRICS, reason), None
    return _image_scores([generated.frames], [real.frames], 1)[0], (generated, real)


def _none(metrics: Iterable[str], reason: str) -> Scores:
    """No score, and why."""
    return {metric: reason for metric in metrics}
