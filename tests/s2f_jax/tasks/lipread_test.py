"""The lip reader: its loss, its training on the demo corpus shrunk, and what it reads."""

import csv
import functools
import itertools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import log_softmax

from data_pipelines import prepare
from data_pipelines.common.errors import UserError
from data_pipelines.loading import charset, dataset, lipreading_examples
from s2f_jax import train
from s2f_jax.evaluation import lip_reader
from s2f_jax.metrics import scoring, speech
from s2f_jax.models.lipnet import LipNet
from s2f_jax.runs.checkpoint import Checkpoints
from s2f_jax.runs.workdir import read_config
from s2f_jax.state import TrainState
from s2f_jax.tasks import ctc, language_model, lipread, registry
from tests.tiny import get_config as tiny


def get_config():
    c = tiny()
    c.task, c.name, c.best_by = "lipread", "tiny_reader", "words_right"
    c.lipreader.update(height=16, width=24, mouth=8.0, features=3, letters=40, rate=1e-2, shift=0.5)
    c.lipreader.widths = (2, 2, 4)
    c.clip_frames, c.max_epochs = 75, 1
    return c


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    prepare.prepare(tiny().data, None, folder)
    return str(folder)


@pytest.fixture(scope="module")
def run(shards, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run") / "reader"
    assert train.train(get_config(), str(workdir), shards) == 0
    return workdir


def test_the_loss_is_minus_the_log_of_the_sum_over_all_paths():
    """T 4, three letters: every path enumerated, with the blank as the last class."""
    rng = np.random.default_rng(0)
    logits = np.full((2, 5, 28), -1e4, np.float32)
    used = [0, 1, 26, charset.BLANK]
    logits[:, :, used] = rng.normal(0, 1, (2, 5, 4))
    lengths, texts = np.array([5, 4]), ["ab", "a b"]
    spelled = np.full((2, 6), -1, np.int32)
    for row, text in zip(spelled, texts, strict=True):
        row[: len(text)] = charset.encode(text)
    mask = np.arange(5) < lengths[:, None]
    found = jax.jit(lipread.losses)(logits, mask, spelled)
    for clip, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        logs, total = log_softmax(logits[clip].astype(float), -1), -np.inf
        for path in itertools.product(used, repeat=int(length)):
            merged = [c for c, _ in itertools.groupby(path) if c != charset.BLANK]
            if merged == charset.encode(text).tolist():
                total = np.logaddexp(total, sum(logs[t, c] for t, c in enumerate(path)))
        np.testing.assert_allclose(found[clip], -total, rtol=1e-5)
    # Padding holds what it likes.
    louder = logits.copy()
    louder[1, 4:] = rng.normal(0, 5, (1, 28))
    np.testing.assert_allclose(jax.jit(lipread.losses)(louder, mask, spelled), found, rtol=1e-6)


def test_known_times_of_letters_cost_their_cross_entropy():
    """Two classes of three, the other two steps unknown: ln 3 twice, of equal logits."""
    steps = np.array([[0, -1, 2, -1]])
    found = lipread.alignment_losses(jnp.zeros((1, 4, 3)), steps)
    np.testing.assert_allclose(found, [2 * np.log(3)], rtol=1e-6)


def test_a_step_takes_one_learning_rate_against_the_gradient_of_its_network():
    config = get_config()
    trainer = train.Trainer(config, examples=8)
    rng = np.random.default_rng(0)
    spelled = np.full((4, 40), -1, np.int32)
    spelled[:, :3] = charset.encode("bin")
    batch = {
        "frames": rng.integers(0, 256, (4, 75, 16, 24, 3)).astype(np.uint8),
        "mask": np.ones((4, 75), bool),
        "letters": spelled,
        "steps": np.full((4, 75), -1, np.int32),
        "example_index": np.arange(4, dtype=np.uint32),
    }
    shapes = trainer.task.batch_shapes()
    assert {n: (x.shape, x.dtype) for n, x in batch.items()} == {
        n: (x.shape, x.dtype) for n, x in shapes.items()
    }
    state = trainer.fresh()
    values = []
    for number in range(6):
        state, metrics, terms = trainer.update(state, number, batch)
        values.append(float(metrics["lipreader/ctc"]))
        assert terms["lipreader/ctc"].shape == (4,)
    assert values[-1] < values[0] and int(state.step) == 6


def test_a_run_is_scored_by_the_words_it_reads(run, shards):
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (validated,) = [e for e in logged if "validation/words_right" in e]
    assert validated["validation/words_right"] <= 1
    assert logged[0]["lipreader/ctc"] > 0 and logged[0]["lipreader/learning_rate"] > 0
    (table,) = run.glob("samples/*/readings.md")
    assert table.read_text().startswith("| clip | said | read |")
    checkpoints = Checkpoints(run, read_only=True)
    assert checkpoints.best() == 2
    checkpoints.close()


def test_a_reader_reads_one_video_as_it_reads_many(run, shards):
    reader = lip_reader.LipReader.load(run, beam=5)
    clips = dataset.open_dataset(get_config().data, "test", shards)
    videos = [clips[0].frames, clips[1].frames[:40], clips[1].frames]
    together = reader.logits(videos)
    assert [x.shape for x in together] == [(len(v), 28) for v in videos]
    for one, video in zip(together, videos, strict=True):
        np.testing.assert_allclose(one, reader.logits([video])[0], atol=1e-5)
    assert reader.read(videos) == [reader.read([video])[0] for video in videos]
    assert (reader.height, reader.width, reader.fps) == (16, 12, 25)
    assert "reader, checkpoint 2, trained on demo; prefix beam of 5" in reader.description


def test_the_beam_knows_the_training_sentences_if_the_config_says_so(run, shards, tmp_path):
    workdir, config = tmp_path / "reader", get_config()
    shutil.copytree(run, workdir)
    config.lipreader.language_order = 4  # How it is decoded may change on resume.
    assert train.train(config, str(workdir), shards) == 0
    training = dataset.open_dataset(config.data, "train", shards, lipreading_examples.FEATURES)
    said = [charset.clean(training[i].transcript) for i in range(len(training))]
    counts = json.loads((workdir / language_model.FILE).read_text())
    assert counts == language_model.count(said, 4)
    before, reader = (lip_reader.LipReader.load(each) for each in (run, workdir))
    assert "4-gram language model of its training sentences" in reader.description
    assert "language" not in before.description
    # A sentence's letters, all but even at each step: only the language model tells them apart.
    logits = np.random.default_rng(0).normal(0, 1e-3, (40, 28)).astype(np.float32)
    (text,) = reader.decode([logits], 200)
    grams = language_model.count([text], 4)
    assert text and grams.keys() <= counts.keys()
    (workdir / language_model.FILE).unlink()
    with pytest.raises(UserError, match="language_model.json is missing"):
        lip_reader.LipReader.load(workdir)


def test_the_validation_reads_as_the_reader_does(run, shards):
    """The same crop, the same network, whatever the batch."""
    config = get_config()
    trainer = train.Trainer(config, examples=8)
    checkpoints = Checkpoints(run, read_only=True)
    state, _, _ = checkpoints.restore(2, trainer.like())
    checkpoints.close()
    clips = dataset.open_dataset(config.data, "val", shards, lipreading_examples.FEATURES)
    validation = trainer.task.validation(clips, trainer.key)
    found = validation.readings(state, range(len(clips)))
    reader = lip_reader.LipReader.load(run, beam=0)
    wanted = reader.read([clips[i].frames for i in range(len(clips))])
    assert found == wanted
    said = [charset.clean(clips[i].transcript) for i in range(len(clips))]
    scores = validation.scores(state)
    assert scores["words_right"] == 1 - speech.wer(zip(said, wanted, strict=True))
    assert validation.scores(state, lambda: True) is None


def test_a_readers_own_evaluation(run, shards, tmp_path):
    workdir = tmp_path / "reader"
    shutil.copytree(run, workdir)
    told, folder = lip_reader.evaluate_lip_reader(get_config(), str(workdir), shards, "test")
    assert str(folder) == str(workdir / "evaluation" / "test")
    report = json.loads((folder / "report.json").read_text())
    assert told["rows"] == report["rows"]
    assert list(report["rows"]) == ["ground_truth", "greedy", "frozen_still"]
    assert all(row["wer"]["clips"] == 2 for row in report["rows"].values())
    rows = list(csv.DictReader((folder / "readings.csv").read_text().splitlines()))
    pairs = [(row["said"], row["greedy"]) for row in rows]
    assert report["rows"]["greedy"]["wer"]["mean"] == pytest.approx(speech.wer(pairs))
    table = (folder / "readings.md").read_text()
    assert "## Errors by word position" in table and "| 6 | 2 |" in table
    again = lip_reader.LipReader.load(workdir)
    assert (
        f"WER {report['rows']['ground_truth']['wer']['mean']:.3f} on real test" in again.description
    )


def test_words_are_spelled_only_when_asked(run):
    reader = lip_reader.LipReader.load(run, beam=0, vocabulary=["bin", "blue", "seven"])
    logits = np.full((1, 9, 28), -20.0, np.float32)
    for t, letter in enumerate("blu sevn"):
        logits[0, t, charset.encode(letter)[0]] = 0
    logits[0, 8, charset.BLANK] = 0
    assert reader.decode(list(logits), 0) == ["blue seven"]
    assert lip_reader.LipReader.load(run, beam=0).decode(list(logits), 0) == ["blu sevn"]
    assert "nearest of 3 words" in reader.description


def test_the_scorer_reads_with_it(run, shards):
    clips = dataset.open_dataset(get_config().data, "test", shards)
    clip = clips[0]
    pair = scoring.ClipPair(
        name=clip.id, speaker=clip.speaker, transcript=clip.transcript, video=clip.frames,
        real=clip.frames, fps=25.0, audio=clip.audio, audio_rate=1000, aligned=True,
    )  # fmt: skip
    reader = lip_reader.LipReader.load(run, beam=0)
    [scored] = speech.SpeechScorer(reader)([pair])
    assert (
        scored.values["wer"]
        == speech.count_edits(clip.transcript, reader.read([clip.frames])[0]).wer
    )
    assert scored.weights["wer"] == 6


def test_what_is_no_reader_is_refused_with_a_sentence(run, tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        lip_reader.LipReader.load(tmp_path / "absent")
    other = tmp_path / "other"
    shutil.copytree(run, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"task": "animate"}))
    with pytest.raises(UserError, match="the task 'animate', not a lip reader"):
        lip_reader.LipReader.load(other)
    config["lipreader"]["features"] = 4
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="other sizes"):
        lip_reader.LipReader.load(other)
    del config["lipreader"]
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="lacks a field"):
        lip_reader.LipReader.load(other)
    shutil.copy(run / "config.json", other / "config.json")
    for file in (other / "checkpoints").glob("2/state/**/*"):
        if file.is_file():
            file.write_bytes(b"damaged")
    with pytest.raises(UserError, match="cannot be read"):
        lip_reader.LipReader.load(other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"accumulate": 2}, "accumulate=2: must be 1"),
        ({"best_by": "psnr"}, "words_right or letters_right"),
        ({"lipreader.widths": (2, 2)}, "three convolutions"),
        ({"lipreader.height": 14}, "14 pixels"),
        ({"lipreader.noise": 0.3}, 'that front_end "cosines" sees'),
    ],
)
def test_fields_that_no_reader_can_have(change, said):
    config = get_config()
    config.update_from_flattened_dict(change)
    with pytest.raises(UserError, match=said):
        registry.build(config)


@pytest.mark.slow
def test_stop_and_resume_is_one_run(run, shards, tmp_path):
    """One epoch, then another one, against two at once: bit for bit."""
    config, states = get_config(), []
    for epochs in ((2,), (1, 2)):
        workdir = tmp_path / str(len(epochs))
        for config.max_epochs in epochs:
            assert train.train(config, str(workdir), shards) == 0
        trainer = train.Trainer(read_config(workdir), examples=8)
        checkpoints = Checkpoints(workdir, read_only=True)
        states.append(checkpoints.restore(4, trainer.like())[0])
        checkpoints.close()
    jax.tree.map(np.testing.assert_array_equal, *states)


def _drawn_speech(rng, clips, frames=24):
    """Mouths that say words of "a" (open), "b" (closed) and "c" (round), each shape for a frame
    or two with a rest behind it, in any colours."""
    words = ["ab", "ba", "cab", "bac", "a", "cc"]
    batch = np.zeros((clips, frames, 16, 24, 3), np.uint8)
    spelled = np.full((clips, 12), -1, np.int32)
    for clip in range(clips):
        text = " ".join(rng.choice(words, 2))
        spelled[clip, : len(text)] = charset.encode(text)
        batch[clip] = rng.integers(150, 230, 3)
        lips, t = rng.integers(0, 80, 3), 1
        for letter in text:
            half = {"a": (5, 8), "b": (1, 8), "c": (4, 3), " ": (0, 0)}[letter]
            rows, columns = (slice(m - h, m + h) for m, h in zip((8, 12), half, strict=True))
            shown = int(rng.integers(1, 3))
            batch[clip, t : t + shown, rows, columns] = lips
            t += shown + 1
    mask = np.ones((clips, frames), bool)
    return {"frames": batch, "mask": mask, "letters": spelled}


@pytest.mark.slow
def test_a_trained_reader_reads_speech_and_not_a_frozen_mouth():
    network, tx = LipNet(28, (8, 8, 8), 24, 0.0), optax.adam(1e-2)
    rng, name = np.random.default_rng(0), lipread.NAME
    batch = _drawn_speech(rng, 1)
    init = jax.jit(functools.partial(network.init, train=False))
    variables = init(jax.random.key(0), batch["frames"] / np.float32(255), batch["mask"])
    params, stats = ({name: variables[kind]} for kind in ("params", "batch_stats"))
    state = TrainState(jnp.zeros((), jnp.int32), params, stats, tx.init(params))
    step = functools.partial(lipread.train_step, network=network, tx=tx, clip_norm=20.0)
    step = jax.jit(step)
    for number in range(300):
        batch = _drawn_speech(rng, 16) | {
            "example_index": np.arange(16, dtype=np.uint32) + 16 * number
        }
        state, _, _ = step(state, batch, jax.random.key(0))
    unseen = _drawn_speech(np.random.default_rng(1), 32)
    said = [charset.decode(row[row >= 0]) for row in unseen["letters"]]
    read = jax.jit(functools.partial(lipread.read, network=network))

    def wer(frames):
        logits = read(state.variables(name), frames, unseen["mask"])
        found = ctc.greedy(np.asarray(logits), unseen["mask"].sum(axis=1))
        return speech.wer(zip(said, found, strict=True))

    assert wer(unseen["frames"]) < 0.1
    assert wer(np.broadcast_to(unseen["frames"][:, :1], unseen["frames"].shape)) > 0.8


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_examples_are_spliced_if_the_config_says_so(share, shards):
    """Every other sentence is another one, of the same length or shorter."""
    config = get_config()
    config.lipreader.splice, config.lipreader.jitter = share, 0.0
    task = registry.build(config)
    clips = dataset.open_dataset(config.data, "train", shards, task.features)
    make = task.examples_of(clips)
    changed = []
    for seed in range(8):
        clip = clips[seed % len(clips)]
        letters = make(clip, np.random.default_rng(seed), False, None)["letters"]
        changed.append(charset.decode(letters[letters >= 0]) != charset.clean(clip.transcript))
    assert any(changed) == bool(share)
