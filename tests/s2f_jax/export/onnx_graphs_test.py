import numpy as np
import onnx
import onnxruntime
import pytest

from s2f_jax.bundle import bundle
from s2f_jax.export import onnx_graphs, stablehlo
from s2f_jax.models import fused_generator
from tests.tiny_generator import VARIANTS, tiny_example

LIMIT = 2e-5


class Session:
    """The three graphs in a folder with their weights, fed from what there is by name."""

    def __init__(self, folder, generator, variables, kind="float32"):
        weights = bundle.flatten_weights(fused_generator.fuse_weights(generator, variables))
        data = bundle.to_safetensors(bundle.convert_weights(weights, kind))
        (folder / "model.safetensors").write_bytes(data)
        self.graphs = onnx_graphs.build_graphs(generator, data)
        for name, graph in self.graphs.items():
            (folder / f"{name}.onnx").write_bytes(graph.SerializeToString())
            onnx.checker.check_model(folder / f"{name}.onnx", full_check=True)
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in self.graphs
        }

    def __call__(self, name, values):
        session = self.sessions[name]
        wanted = {node.name: values[node.name] for node in session.get_inputs()}
        names = [node.name for node in session.get_outputs()]
        return values | dict(zip(names, session.run(None, wanted), strict=True))


def silence(generator, batch):
    sizes = stablehlo.state_sizes(generator)
    return {name: np.zeros((batch, size), np.float32) for name, size in sizes.items()}


@pytest.mark.parametrize("fields", VARIANTS)
def test_the_graphs_are_the_networks(tmp_path, fields):
    generator, variables, (still, windows, noise), (carry, frames) = tiny_example(2, 7, **fields)
    run = Session(tmp_path, generator, variables)
    state = silence(generator, 2)
    known = run("identity", {"still": still})
    together = run(
        "decode", run("audio_step", known | state | {"windows": windows, "noise": noise})
    )
    assert np.abs(together["frames"] - frames).max() < LIMIT and np.std(frames) > 0.2
    for name, value in stablehlo.carry_to_state(carry).items():
        assert np.abs(together[f"next_{name}"] - value).max() < LIMIT
    for t in range(7):
        at = {"windows": windows[:, t : t + 1], "noise": noise[:, t : t + 1]}
        heard = run("audio_step", known | state | at)
        state = {name: heard[f"next_{name}"] for name in state}
        assert np.abs(run("decode", heard)["frames"][:, 0] - frames[:, t]).max() < LIMIT


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (3, 1), (1, 75), (3, 75)])
def test_batch_and_length_may_be_any(tmp_path, batch, frames):
    generator, variables, (still, windows, noise), (_, expected) = tiny_example(batch, frames)
    run = Session(tmp_path, generator, variables)
    known = {"windows": windows, "noise": noise, **silence(generator, batch)}
    known = run("audio_step", run("identity", {"still": still} | known))
    assert np.abs(run("decode", known)["frames"] - expected).max() < LIMIT


@pytest.mark.parametrize("kind", ["bfloat16", "int8"])
def test_weights_of_other_types_are_widened_by_the_graphs(tmp_path, kind):
    """To the same numbers as the package makes of them, whose networks then draw the same."""
    generator, variables, (still, windows, noise), _ = tiny_example(1, 3)
    lossy = Session(tmp_path, generator, variables, kind)
    named = bundle.flatten_weights(fused_generator.fuse_weights(generator, variables))
    widened = {
        name: stored.astype(np.float32) * parts.get(f"{name}.scale", 1)
        for parts in [bundle.convert_weights(named, kind)]
        for name, stored in parts.items()
        if not name.endswith(".scale")
    }
    identity = fused_generator.encode_identity(bundle.unflatten_weights(widened), still)
    carry = generator.initial_carry(1)
    weights = bundle.unflatten_weights(widened)
    _, expected = fused_generator.animate(generator, weights, identity, windows, noise, carry)
    known = {"still": still, "windows": windows, "noise": noise, **silence(generator, 1)}
    drawn = lossy("decode", lossy("audio_step", lossy("identity", known)))["frames"]
    assert np.abs(drawn - expected).max() < LIMIT


def test_the_graphs_hold_no_weights(tmp_path):
    generator, variables, *_ = tiny_example(1, 1)
    for graph in Session(tmp_path, generator, variables).graphs.values():
        kept = [each for each in graph.graph.initializer if not each.external_data]
        assert sum(np.prod(each.dims) for each in kept) < 200
        assert len(kept) < len(graph.graph.initializer)
