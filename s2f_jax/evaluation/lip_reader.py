"""A trained lip reader in use: videos in, text out; and how well it reads a split's real videos."""

import collections
import csv
import functools
import io
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import jiwer
import numpy as np
from etils import epath

from data_pipelines import prepare
from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.loading import charset, dataset, lipreading_examples, loader
from s2f_jax.config.schema import Config
from s2f_jax.metrics import speech
from s2f_jax.reports.scores import ClipScores, write_report
from s2f_jax.runs.restore import all_fields_of, find_checkpoint, restore_network
from s2f_jax.runs.workdir import open_workdir, read_config
from s2f_jax.tasks import ctc, lipread

BEAM = 200  # Prefixes.
_AT_ONCE = 8  # Videos: bounds the memory.


class LipReader:
    """The lip reader of a checkpoint, for aligned faces uint8 [T, height, width, 3] RGB.

    beam: prefixes that its search keeps; 0: each frame's likeliest letter. vocabulary: if given,
    each word read becomes the nearest of these, which hides errors.
    """

    def __init__(
        self,
        config: Config,
        variables: Mapping[str, Any],
        *,
        name: str,
        beam: int = BEAM,
        vocabulary: Collection[str] = (),
    ):
        self.height, self.width = config.data.height, config.data.width
        self.fps = config.data.fps
        self.beam, self.vocabulary = beam, sorted(vocabulary)
        self._crop, self._variables = lipread.crop(config), variables
        self._read = jax.jit(functools.partial(lipread.read, network=lipread.network(config)))
        self._spell = functools.cache(self._nearest)
        decoding = f"prefix beam of {beam}" if beam else "greedy"
        spelling = f", then the nearest of {len(vocabulary)} words" if vocabulary else ""
        self.description = (
            f"LipNet of {name}, trained on {config.data.corpus}; {decoding}{spelling}"
        )

    @classmethod
    def load(
        cls, path: epath.PathLike, beam: int = BEAM, vocabulary: Collection[str] = ()
    ) -> "LipReader":
        """From a workdir (its best checkpoint) or a checkpoint step's folder.

        Raises UserError where there is none, or one of another task or schema, or a damaged one.
        """
        workdir, step = find_checkpoint(path)
        config = read_config(workdir)
        task = config.get("task")
        if task != "lipread":
            raise UserError(
                f"{path} holds a run of the task {task!r}, not a lip reader: give the workdir of"
                " a run of configs/lipreader_*.py"
            )
        with all_fields_of(workdir):
            expected = jax.eval_shape(lambda: lipread.initial(config, jax.random.key(0)))
        variables = restore_network(workdir, step, lipread.NAME, expected)
        name = f"{workdir.name}, checkpoint {step}{_own_score(workdir, step)}"
        return cls(config, variables, name=name, beam=beam, vocabulary=vocabulary)

    def logits(self, videos: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Aligned faces, uint8 [T_i, height, width, 3] -> float32 [T_i, 28] of each video."""
        found: dict[int, np.ndarray] = {}
        for indices in loader.by_length([len(video) for video in videos], _AT_ONCE):
            rows = indices + indices[-1:] * (_AT_ONCE - len(indices))  # Always whole batches.
            crops = [self._crop(videos[i]) for i in rows]
            frames, mask = lipread.side_by_side(crops, loader.padded(max(map(len, crops))))
            logits = np.asarray(self._read(self._variables, frames, mask))
            found |= {i: row[: len(videos[i])] for i, row in zip(indices, logits, strict=False)}
        return [found[i] for i in range(len(videos))]

    def read(self, videos: Sequence[np.ndarray]) -> list[str]:
        """Aligned faces, uint8 [T_i, height, width, 3] -> what each says."""
        return self.decode(self.logits(videos), self.beam)

    def decode(self, logits: Sequence[np.ndarray], beam: int) -> list[str]:
        """Logits [T_i, 28] of each video -> texts, by a beam of that width, 0: greedily."""
        texts = []
        for first in range(0, len(logits), _AT_ONCE):
            some = logits[first : first + _AT_ONCE]
            lengths = np.array([len(each) for each in some])
            padded = np.zeros((len(some), lengths.max(), charset.BLANK + 1), np.float32)
            for row, each in zip(padded, some, strict=True):
                row[: len(each)] = each
            texts += ctc.beam(padded, lengths, beam) if beam else ctc.greedy(padded, lengths)
        if not self.vocabulary:
            return texts
        return [" ".join(map(self._spell, text.split())) for text in texts]

    def _nearest(self, word: str) -> str:
        return min(
            self.vocabulary, key=lambda known: speech.count_edits(known, word).character_edits
        )


def evaluate_lip_reader(
    config: Config, workdir: str, data_dir: str | None, split: str
) -> tuple[dict[str, Any], epath.Path]:
    """Scores a reader's best checkpoint on the real videos of a split: `evaluation/<split>` in its
    workdir has the report's files, every reading (readings.csv), and what is taken for what
    (readings.md). Returns what report.json holds, and the folder.

    Raises UserError where the workdir holds no checkpoint or a run of another config.
    """
    folder = open_workdir(config, workdir)
    shards = prepare.data_dir(config.data, data_dir)
    features = (*lipreading_examples.FEATURES, "speaker")
    clips = dataset.open_dataset(config.data, split, shards, features)
    vocabulary: set[str] = set()
    if config.lipreader.spell:
        known = dataset.open_dataset(config.data, "train", shards, features)
        for i in range(len(known)):
            vocabulary.update(charset.clean(known[i].transcript).split())
    reader = LipReader.load(folder, vocabulary=vocabulary)
    output = folder / "evaluation" / split
    result = evaluate(reader, clips, output, corpus=config.data.corpus, split=split)
    return result, output


def evaluate(
    reader: LipReader, clips: Sequence, output: epath.PathLike, *, corpus: str, split: str
) -> dict[str, Any]:
    """Reads the real videos of `clips` (data_pipelines.loading.dataset); writes the report's files,
    readings.csv and readings.md into `output`. Returns what report.json holds.

    Raises UserError where no clip has a transcript to hold its reading against.
    """
    said = {i: text for i in range(len(clips)) if (text := _said(clips[i]))}
    if not said:
        raise UserError(
            f"The split {split!r} of {corpus} has no transcripts; evaluate another one."
        )
    rows, heard = collections.defaultdict(list), []
    for first in range(0, len(said), _AT_ONCE):
        some = list(said)[first : first + _AT_ONCE]
        batch = [clips[i] for i in some]
        for i, clip, texts in zip(some, batch, _readings(reader, batch), strict=True):
            heard.append({"clip": clip.id, "speaker": clip.speaker, "said": said[i], **texts})
            for row, text in texts.items():
                of_clip = speech.error_rate_scores(said[i], text)
                rows[row].append(
                    ClipScores(row, clip.id, clip.speaker, of_clip.values, of_clip.weights)
                )
    conventions = {
        "ground_truth": "the real videos",
        "greedy": "the real videos, each frame's likeliest letter",
        "frozen_still": "frame 0 repeated: what is right by guessing",
        "lip_reader": reader.description,
        **speech.CONVENTIONS,
    }
    if missing := len(clips) - len(said):
        conventions["without_transcript"] = f"{missing} clips, which are not in the table"
    scores = list(itertools.chain(*rows.values()))
    result = write_report(output, corpus, split, conventions, scores)
    files.write_atomically(epath.Path(output) / "readings.csv", _csv(heard).encode())
    files.write_atomically(epath.Path(output) / "readings.md", _markdown(heard).encode())
    return result


def _said(clip) -> str:
    try:
        return charset.clean(clip.transcript)
    except ValueError:
        return ""


def _readings(reader: LipReader, clips: Sequence) -> list[dict[str, str]]:
    """What is read in each clip, by row."""
    real = [clip.frames for clip in clips]
    still = [np.broadcast_to(frames[:1], frames.shape) for frames in real]
    of_real, of_still = reader.logits(real), reader.logits(still)
    rows = {
        "ground_truth": reader.decode(of_real, reader.beam),
        "greedy": reader.decode(of_real, 0),
        "frozen_still": reader.decode(of_still, reader.beam),
    }
    return [{row: texts[i] for row, texts in rows.items()} for i in range(len(clips))]


def _csv(heard: Sequence[Mapping[str, str]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(heard[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(heard)
    return file.getvalue()


def _markdown(heard: Sequence[Mapping[str, str]]) -> str:
    """Where in the sentence it errs, what it takes for what, and examples."""
    output = jiwer.process_words([h["said"] for h in heard], [h["ground_truth"] for h in heard])
    places, wrong, taken = collections.Counter(), collections.Counter(), collections.Counter()
    for said, read, chunks in zip(
        output.references, output.hypotheses, output.alignments, strict=True
    ):
        places.update(range(len(said)))
        for chunk in chunks:
            span = range(chunk.ref_start_idx, chunk.ref_end_idx)
            if chunk.type != "equal":
                wrong.update(span)
            if chunk.type == "substitute":
                taken.update((said[i], read[chunk.hyp_start_idx + n]) for n, i in enumerate(span))
            elif chunk.type == "delete":
                taken.update((said[i], "") for i in span)
    lines = ["# What the lip reader reads in the real videos", "", "## By place in the sentence"]
    lines += ["", "| word | said | misread |", "|---|---|---|"]
    lines += [f"| {i + 1} | {n} | {wrong[i] / n:.0%} |" for i, n in sorted(places.items())]
    lines += ["", "## Taken for", "", "| said | read | times |", "|---|---|---|"]
    lines += [f"| {a} | {b or '(nothing)'} | {n} |" for (a, b), n in taken.most_common(30)]
    lines += ["", "## Examples", "", "| clip | said | beam | greedy |", "|---|---|---|---|"]
    step = -(-len(heard) // 24)
    lines += [
        f"| {h['clip']} | {h['said']} | {h['ground_truth']} | {h['greedy']} |"
        for h in heard[::step]
    ]
    return "\n".join(lines) + "\n"


def _own_score(workdir: epath.Path, step: int) -> str:
    """What the reader's own evaluation said of it on real test videos, if it was of this step."""
    path = workdir / "evaluation" / "test" / "report.json"
    try:
        own = json.loads(path.read_text())
        if f"checkpoint {step}" not in own["conventions"]["lip_reader"]:
            return ""
        return f", WER {own['rows']['ground_truth']['wer']['mean']:.3f} on real test videos"
    except (OSError, ValueError, LookupError, TypeError):
        return ""  # It was never evaluated.
