"""A trained lip reader: videos to text, and its evaluation on the real videos of a split."""

import collections
import functools
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import jiwer
import numpy as np
from etils import epath

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.loading import charset, lipreading_examples, loader
from data_pipelines.loading.dataset import DatasetClip
from s2f_jax.config.schema import Config
from s2f_jax.evaluation import score_collector
from s2f_jax.evaluation.score_collector import ScoreCollector, batched, open_run_split
from s2f_jax.metrics import speech
from s2f_jax.runs.restore import all_fields_of, find_checkpoint, restore_network
from s2f_jax.runs.workdir import read_config
from s2f_jax.tasks import ctc, language_model, lipread
from s2f_jax.tasks.language_model import LanguageModel

BEAM = 200  # Prefixes that the beam search keeps.
_BATCH_SIZE = 8  # Videos: bounds the memory.


class LipReader:
    """The lip reader of a checkpoint, for aligned faces.

    Args:
      config: The run's config.
      variables: The network's variables.
      name: What `description` calls the network.
      beam: Prefixes that the beam search keeps; 0: greedy, each frame's most likely letter.
      vocabulary: If given, each word becomes the nearest of these, which hides errors.
      language: Language model of the beam search, if any.

    Attributes:
      height: Height of the faces, pixels.
      width: Width of the faces, pixels.
      fps: Frames per second of the videos.
      beam: Prefixes that the beam search keeps; 0: greedy.
      vocabulary: Words that each word read is corrected to; empty: none.
      description: Network and decoding, as the report describes them.
    """

    def __init__(
        self,
        config: Config,
        variables: Mapping[str, Any],
        *,
        name: str,
        beam: int = BEAM,
        vocabulary: Collection[str] = (),
        language: LanguageModel | None = None,
    ):
        self.height, self.width = config.data.height, config.data.width
        self.fps = config.data.fps
        self.beam, self.vocabulary = beam, sorted(vocabulary)
        self._language = language
        self._crop, self._variables = lipread.crop(config), variables
        self._read = jax.jit(functools.partial(lipread.read, network=lipread.network(config)))
        self._correct = functools.cache(self._nearest_word)
        decoding = f"prefix beam of {beam}" if beam else "greedy"
        if beam and language:
            n = config.lipreader.language_order
            decoding += f" with a {n}-gram language model of its training sentences' characters"
        spelling = f", then the nearest of {len(vocabulary)} words" if vocabulary else ""
        net = "LipNet" if config.lipreader.front_end == "convolutions" else "LipNet over cosines"
        trained = f"{net} of {name}, trained on {config.data.corpus}"
        self.description = f"{trained}; {decoding}{spelling}"

    @classmethod
    def load(
        cls, path: epath.PathLike, beam: int = BEAM, vocabulary: Collection[str] = ()
    ) -> "LipReader":
        """Restores a lip reader.

        Args:
          path: A workdir (its best checkpoint) or a checkpoint step's folder.
          beam: Prefixes that the beam search keeps; 0: greedy.
          vocabulary: If given, each word becomes the nearest of these.

        Returns:
          The reader; its description has the score of its own evaluation, if there was one.

        Raises:
          UserError: There is no checkpoint, or one of another task or schema, or it is damaged.
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
        name = f"{workdir.name}, checkpoint {step}{_evaluated_score(workdir, step)}"
        r, language = config.lipreader, None
        if r.language_order:
            language = language_model.load(workdir, r.language_weight, r.language_bonus)
        return cls(
            config, variables, name=name, beam=beam, vocabulary=vocabulary, language=language
        )

    def logits(self, videos: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Computes the logits of letters and blank, lipreader.steps_per_frame in each frame.

        Args:
          videos: Aligned faces, uint8 [T_i, height, width, 3] each.

        Returns:
          float32 [steps_per_frame * T_i, 28] of each video.
        """
        by_index: dict[int, np.ndarray] = {}
        for indices in loader.batch_by_length([len(video) for video in videos], _BATCH_SIZE):
            # Complete batches: one compilation for each length.
            rows = indices + indices[-1:] * (_BATCH_SIZE - len(indices))
            crops = [self._crop(videos[i]) for i in rows]
            frames, mask = lipread.side_by_side(crops, loader.padded_length(max(map(len, crops))))
            logits = np.asarray(self._read(self._variables, frames, mask))
            steps = logits.shape[1] // mask.shape[1]  # Of each frame.
            for i, row in zip(indices, logits, strict=False):
                by_index[i] = row[: steps * len(videos[i])]
        return [by_index[i] for i in range(len(videos))]

    def read(self, videos: Sequence[np.ndarray]) -> list[str]:
        """Reads videos.

        Args:
          videos: Aligned faces, uint8 [T_i, height, width, 3] each.

        Returns:
          The text of each.
        """
        return self.decode(self.logits(videos), self.beam)

    def decode(self, logits: Sequence[np.ndarray], beam: int) -> list[str]:
        """Decodes logits to text.

        Args:
          logits: The result of `logits`.
          beam: Prefixes that the beam search keeps; 0: greedy.

        Returns:
          The text of each video.
        """
        texts = []
        for batch in batched(logits, _BATCH_SIZE):
            lengths = np.array([len(frames) for frames in batch])
            padded = np.zeros((len(batch), lengths.max(), charset.BLANK + 1), np.float32)
            for row, frames in zip(padded, batch, strict=True):
                row[: len(frames)] = frames
            if beam:
                texts += ctc.beam(padded, lengths, beam, self._language)
            else:
                texts += ctc.greedy(padded, lengths)
        if not self.vocabulary:
            return texts
        return [" ".join(map(self._correct, text.split())) for text in texts]

    def _nearest_word(self, word: str) -> str:
        return min(
            self.vocabulary, key=lambda known: speech.count_edits(known, word).character_edits
        )


def evaluate_lip_reader(
    config: Config, workdir: str, data_dir: str | None, split: str
) -> tuple[dict[str, Any], epath.Path]:
    """Scores a lip reader's best checkpoint on the real videos of a split.

    Args:
      config: The run's config.
      workdir: The run's folder.
      data_dir: Folder of the shards; None: the default.
      split: Name of the split.

    Returns:
      The contents of report.json, and the report's folder.

    Raises:
      UserError: The workdir holds no checkpoint or a run of another config.
    """
    features = (*lipreading_examples.FEATURES, "speaker")
    folder, clips, output = open_run_split(config, workdir, data_dir, split, features)
    vocabulary: set[str] = set()
    if config.lipreader.spell:
        training = open_run_split(config, workdir, data_dir, "train", features).clips
        for i in range(len(training)):
            vocabulary.update(charset.clean(training[i].transcript).split())
    reader = LipReader.load(folder, vocabulary=vocabulary)
    report = evaluate(reader, clips, output, corpus=config.data.corpus, split=split)
    return report, output


def evaluate(
    reader: LipReader,
    clips: Sequence[DatasetClip],
    output: epath.PathLike,
    *,
    corpus: str,
    split: str,
) -> dict[str, Any]:
    """Reads the real videos of clips and writes the report, readings.csv and readings.md.

    Args:
      reader: The lip reader.
      clips: The clips of a split.
      output: Folder of the report.
      corpus: Name of the corpus.
      split: Name of the split.

    Returns:
      The contents of report.json.

    Raises:
      UserError: No clip has a transcript.
    """
    transcripts = {i: text for i in range(len(clips)) if (text := _transcript(clips[i]))}
    if not transcripts:
        raise UserError(f"the split {split!r} of {corpus} has no transcripts: evaluate another one")
    collector, readings = ScoreCollector(output, corpus, split), []
    batches = batched(list(transcripts), _BATCH_SIZE)
    for indices in score_collector.show_progress(batches, len(transcripts)):
        batch = [clips[i] for i in indices]
        for i, clip, texts in zip(indices, batch, _read_rows(reader, batch), strict=True):
            reference = transcripts[i]
            readings.append({"clip": clip.id, "speaker": clip.speaker, "said": reference, **texts})
            for row, text in texts.items():
                scores = speech.error_rate_scores(reference, text)
                collector.add(row, i, clip.id, clip.speaker, scores)
    conventions = {
        "ground_truth": "the real videos",
        "greedy": "the real videos, each frame's likeliest letter",
        "frozen_still": "frame 0 repeated: what is right by guessing",
        "lip_reader": reader.description,
        **speech.CONVENTIONS,
    }
    if missing := len(clips) - len(transcripts):
        conventions["without_transcript"] = f"{missing} clips, which are not in the table"
    report = collector.write(conventions)
    table = files.csv_text(readings, list(readings[0]))
    files.write_atomically(epath.Path(output) / "readings.csv", table.encode())
    files.write_atomically(epath.Path(output) / "readings.md", _markdown(readings).encode())
    return report


def _transcript(clip: DatasetClip) -> str:
    try:
        return charset.clean(clip.transcript)
    except ValueError:
        return ""


def _read_rows(reader: LipReader, clips: Sequence[DatasetClip]) -> list[dict[str, str]]:
    """Returns what is read in each clip, by row."""
    real = [clip.frames for clip in clips]
    still = [np.broadcast_to(frames[:1], frames.shape) for frames in real]
    real_logits, still_logits = reader.logits(real), reader.logits(still)
    rows = {
        "ground_truth": reader.decode(real_logits, reader.beam),
        "greedy": reader.decode(real_logits, 0),
        "frozen_still": reader.decode(still_logits, reader.beam),
    }
    return [{row: texts[i] for row, texts in rows.items()} for i in range(len(clips))]


def _markdown(readings: Sequence[Mapping[str, str]]) -> str:
    """Returns tables of errors by word position, of confusions, and of examples."""
    said, read_texts = ([one[key] for one in readings] for key in ("said", "ground_truth"))
    output = jiwer.process_words(said, read_texts)
    counts, errors, confusions = (collections.Counter() for _ in range(3))
    for reference, hypothesis, chunks in zip(
        output.references, output.hypotheses, output.alignments, strict=True
    ):
        counts.update(range(len(reference)))
        for chunk in chunks:
            span = range(chunk.ref_start_idx, chunk.ref_end_idx)
            if chunk.type != "equal":
                errors.update(span)
            if chunk.type == "substitute":
                read = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
                confusions.update(zip((reference[i] for i in span), read, strict=True))
            elif chunk.type == "delete":
                confusions.update((reference[i], "") for i in span)
    lines = ["# What the lip reader reads in the real videos", "", "## Errors by word position"]
    lines += ["", "| position | words | misread |", "|---|---|---|"]
    lines += [f"| {i + 1} | {n} | {errors[i] / n:.0%} |" for i, n in sorted(counts.items())]
    lines += ["", "## Confusions", "", "| reference | hypothesis | count |", "|---|---|---|"]
    lines += [f"| {a} | {b or '(nothing)'} | {n} |" for (a, b), n in confusions.most_common(30)]
    lines += ["", "## Examples", "", "| clip | reference | beam | greedy |", "|---|---|---|---|"]
    lines += [
        f"| {r['clip']} | {r['said']} | {r['ground_truth']} | {r['greedy']} |"
        for r in readings[:: -(-len(readings) // 24)]
    ]
    return "\n".join(lines) + "\n"


def _evaluated_score(workdir: epath.Path, step: int) -> str:
    # The WER of the reader's own evaluation on real test videos, if it was of this step.
    path = workdir / "evaluation" / "test" / "report.json"
    try:
        report = json.loads(path.read_text())
        if f"checkpoint {step}" not in report["conventions"]["lip_reader"]:
            return ""
        return f", WER {report['rows']['ground_truth']['wer']['mean']:.3f} on real test videos"
    except (OSError, ValueError, LookupError, TypeError):
        return ""  # It was never evaluated.
