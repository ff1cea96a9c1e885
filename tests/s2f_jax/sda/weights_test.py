"""The authors' generators, converted, draw what PyTorch draws of the same file."""

import fractions
import json
import math

import av
import jax
import numpy as np
import pytest

from data_pipelines.faces import alignment
from data_pipelines.faces import landmarks as landmarks_module
from data_pipelines.loading.training_examples import audio_margins
from data_pipelines.media import images, writer
from data_pipelines.media.sound import OffsetRemover
from s2f_jax import main
from s2f_jax.inference.animator import Animator
from s2f_jax.models import networks
from s2f_jax.render.generate import generate
from s2f_jax.runs.restore import restore_generator
from s2f_jax.sda import convert, weights
from tests.s2f_jax.sda import torch_generator
from tests.tiny_generator import tiny_config, tiny_state

torch = pytest.importorskip("torch")
FULL = {"size": (128, 96), "sizes": (128, 256, 10), "width": 64, "audio_width": 16}


@pytest.fixture
def converted(tmp_path):
    """Options of torch_generator.contents -> what the file holds, the run made of it."""

    def converted(**options):
        contents = torch_generator.contents(**options)
        file = torch_generator.save(contents, tmp_path / "model.dat")
        assert main.dispatch(["convert", f"--sda={file}", f"--output={tmp_path / 'run'}"]) == 0
        return contents, tmp_path / "run"

    return converted


def still_and_sound(contents, seconds=0.41):
    rng = np.random.default_rng(0)
    still = rng.integers(0, 256, (*contents["img_size"], 3), np.uint8)
    return still, rng.uniform(-0.8, 0.8, round(contents["audio_rate"] * seconds)).astype("f4")


def same(given, back):
    """Bit for bit, types and all, but for the order of the keys."""
    assert given.keys() == back.keys()
    for key, value in given.items():
        if isinstance(value, dict):
            assert value.keys() == back[key].keys()
            for name, tensor in value.items():
                other = back[key][name]
                assert (tensor.dtype, tensor.shape) == (other.dtype, other.shape)
                assert tensor.numpy().tobytes() == other.numpy().tobytes(), name
        elif isinstance(value, np.ndarray):
            assert value.dtype == back[key].dtype
            np.testing.assert_array_equal(value, back[key])
        else:
            assert (type(value), value) == (type(back[key]), back[key])


def heard(animator, sound):
    """Without its constant offset, which the authors' program leaves in."""
    g = animator.generator
    first = g.window - audio_margins(g.window, g.stride)[0]
    return OffsetRemover(g.audio_rate, first)(np.float32(sound), last=True)


@pytest.mark.parametrize(
    ("rate", "fps", "seconds"),
    [
        (50000, 25, 0.2),
        (48000, 25, 0.16),
        (48000, 30, 0.2),
        (16000, 25, 0.2),
        (16000, 30, 0.16),  # 533 samples a frame, as the authors' program takes it.
        (50000, 30, 0.2),
    ],
)
def test_a_converted_generator_draws_the_authors_frames(converted, rate, fps, seconds):
    contents, run = converted(rate=rate, fps=fps, seconds=seconds)
    animator, (still, sound) = Animator.load(run), still_and_sound(contents)
    ours = animator(still, sound, rate, aligned=True, noise_std=0.0, raw=True)
    theirs = torch_generator.animate(contents, still, heard(animator, sound))
    assert ours.shape == theirs.shape and len(ours) == math.ceil(len(sound) / (rate // fps))
    assert theirs.std() > 0.1 and theirs.std(axis=0).max() > 0.05  # No grey picture, and it moves.
    assert np.abs(ours - theirs).max() < 1e-4


@pytest.mark.slow
def test_at_full_size_the_file_has_the_released_ones_size(converted, tmp_path):
    contents, run = converted(**FULL)
    animator, (still, sound) = Animator.load(run), still_and_sound(contents, 1.1)
    ours = animator(still, sound, animator.rate, aligned=True, noise_std=0.0, raw=True)
    theirs = torch_generator.animate(contents, still, heard(animator, sound))
    assert theirs.std() > 0.2 and np.abs(ours - theirs).max() < 1e-4
    back = tmp_path / "back.dat"
    assert main.dispatch(["convert", f"--checkpoint={run}", f"--output={back}"]) == 0
    same(contents, torch.load(back, weights_only=False))
    assert abs(back.stat().st_size - 221_179_358) < 20_000


@pytest.mark.parametrize(
    "options",
    [
        {"counts": True},
        {"mean_face": False},
        {"rate": 16000, "fps": 30.0, "seconds": 0.16, "size": (32, 24)},
    ],
)
def test_a_round_trip_gives_the_same_file_bit_for_bit(converted, tmp_path, options):
    contents, run = converted(**options)
    back = tmp_path / "back.dat"
    assert main.dispatch(["convert", f"--checkpoint={run}", f"--output={back}"]) == 0
    same(contents, torch.load(back, weights_only=False))
    assert (
        torch_generator.save(contents, tmp_path / "again.dat").read_bytes()[:15]
        == (
            back.read_bytes()[:15]  # The format before PyTorch 1.6.
        )
    )
    # NumPy 1 has no numpy._core.
    assert b"cnumpy._core.multiarray" not in back.read_bytes()


def test_the_round_trip_of_a_run_of_ours(run_folder, tmp_path):
    """Weights that were trained here draw the same frames in PyTorch, and come back bit for bit."""
    file, run = tmp_path / "ours.dat", tmp_path / "run"
    assert main.dispatch(["convert", f"--checkpoint={run_folder}", f"--output={file}"]) == 0
    contents = torch.load(file, weights_only=False)
    animator, (still, sound) = Animator.load(run_folder), still_and_sound(contents)
    ours = animator(still, sound, animator.rate, aligned=True, noise_std=0.0, raw=True)
    theirs = torch_generator.animate(contents, still, heard(animator, sound))
    assert np.abs(ours - theirs).max() < 1e-4
    # They align by the stable points alone; the other points of a mean face nobody here knows.
    stable = list(alignment.STABLE)
    np.testing.assert_array_equal(contents["mean_face"][stable], alignment.canonical_points(16, 12))
    assert np.isnan(np.delete(contents["mean_face"], stable, axis=0)).all()

    assert main.dispatch(["convert", f"--sda={file}", f"--output={run}"]) == 0
    jax.tree.map(
        np.testing.assert_array_equal,
        restore_generator(run).variables,
        restore_generator(run_folder).variables,
    )


def test_retained_biases_are_dropped_once_training_changed_their_sum():
    config = tiny_config()
    generator = networks.generator(config.data, config.model)
    variables = jax.device_get(tiny_state(config).variables("generator"))
    state_dicts = weights.to_state_dicts(generator, variables)
    split = {name: dict(arrays) for name, arrays in state_dicts.items()}
    bias_ih, bias_hh = (state_dicts["encoder"][f"rnn.{name}_l0"] for name in weights.GRU_BIASES)
    third = np.where(np.arange(24) < 16, bias_ih / 4, 0).astype(np.float32)
    split["encoder"] |= {"rnn.bias_ih_l0": bias_ih - third, "rnn.bias_hh_l0": bias_hh + third}
    retained = weights.retained_tensors(split)
    variables = weights.to_variables(generator, split)
    whole = weights.with_retained_tensors(weights.to_state_dicts(generator, variables), retained)
    np.testing.assert_array_equal(whole["encoder"]["rnn.bias_hh_l0"][:16], third[:16])

    variables["params"]["context_encoder"]["gru"]["layer0"]["ir"]["bias"] += 1
    whole = weights.with_retained_tensors(weights.to_state_dicts(generator, variables), retained)
    np.testing.assert_array_equal(whole["encoder"]["rnn.bias_hh_l0"][:16], 0)
    again = weights.to_variables(generator, whole)
    jax.tree.map(np.testing.assert_array_equal, again, variables)


def test_every_tensor_of_the_format_is_mapped():
    """At the released sizes, by the table of the format alone."""
    config = tiny_config()
    config.data.update(height=128, width=96, audio_rate=50000)
    sizes = {"id_features": 128, "context_features": 256, "noise_features": 10, "width": 64}
    config.model.update(window=0.2, audio_width=16, **sizes)
    generator = networks.generator(config.data, config.model)
    header = {"audio_rate": 50000, "audio_feat_samples": 10000, "img_size": (128, 96)}
    header |= {"id_enc_dim": 128, "rnn_gen_dim": 256, "aud_enc_dim": 256, "aux_latent": 10}
    state_dicts = {
        state: {name: np.broadcast_to(np.float32(0), shape) for name, shape in tensors.items()}
        for state, tensors in torch_generator.shapes(header, 64, 16).items()
    }
    assert state_dicts["generator"]["dcl.0.0.weight"].shape == (394, 1024, 4, 3)
    assert state_dicts["encoder"]["rnn.weight_ih_l1"].shape == (768, 256)
    assert weights.find_problems(generator, state_dicts) == []


def test_a_portrait_is_aligned_to_the_file_s_mean_face(converted, monkeypatch):
    contents, run = converted()
    landmarks = contents["mean_face"].astype(np.float32)
    monkeypatch.setattr(landmarks_module, "find_faces", lambda image: [landmarks])
    still, _ = still_and_sound(contents)
    drawn = Animator.load(run).prepare_still(still, aligned=False)
    assert np.abs(drawn.astype(int) - still).max() <= 2


def test_sound_and_video_stay_in_sync_where_the_rates_do_not_divide(converted, tmp_path):
    contents, run = converted(rate=16000, fps=30)
    still, sound = still_and_sound(contents, 2.0)
    (tmp_path / "still.png").write_bytes(images.encode_png(still))
    writer.write_video(tmp_path / "sound.mp4", np.stack([still] * 50), 25, sound, 16000)
    still_file, sound_file, output = map(
        str, (tmp_path / "still.png", tmp_path / "sound.mp4", tmp_path / "out.mp4")
    )
    generate(str(run), [still_file], [sound_file], output, aligned=True)
    frames = math.ceil(32000 / 533)
    with av.open(output) as video:
        picture, audio = video.streams.video[0], video.streams.audio[0]
        assert picture.average_rate == fractions.Fraction(16000, 533)
        assert sum(1 for _ in video.decode(picture)) == frames
        seconds = [float(stream.duration * stream.time_base) for stream in (picture, audio)]
    assert seconds == pytest.approx([frames * 533 / 16000] * 2, abs=1e-3)

    animator = Animator.load(run)
    offline = animator(still, sound, 16000, aligned=True)
    stream = animator.stream(still, aligned=True)
    parts = [stream.push(sound[i : i + 777]) for i in range(0, len(sound), 777)]
    drawn = np.concatenate([*parts, stream.flush()])
    assert drawn.shape == offline.shape == (frames, 16, 12, 3)
    assert np.abs(drawn.astype(int) - offline).max() <= 1


def test_a_run_names_the_file_that_it_was_converted_from(converted, tmp_path):
    _, run = converted()
    made = json.loads((run / "run.json").read_text())
    assert made["converted"]["file"] == "model.dat" and len(made["converted"]["sha256"]) == 64
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints",
        "config.json",
        "run.json",
        convert.RETAINED_FILE,
    ]
