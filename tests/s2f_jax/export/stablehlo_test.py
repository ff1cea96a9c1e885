import jax
import numpy as np
import pytest
from jax import export

from s2f_jax.bundle import bundle
from s2f_jax.export import stablehlo
from s2f_jax.models import fused_generator, networks
from tests.tiny_generator import VARIANTS, tiny_config, tiny_example

LIMIT = 1e-5


def loaded(generator):
    serialized = stablehlo.export_programs(generator)
    return {name: export.deserialize(bytearray(data)) for name, data in serialized.items()}


@pytest.mark.parametrize("fields", VARIANTS)
def test_the_programs_are_the_networks(fields):
    generator, variables, (still, windows, noise), (carry, frames) = tiny_example(2, 7, **fields)
    weights = bundle.flatten_weights(fused_generator.fuse_weights(generator, variables))
    call = {name: jax.jit(program.call) for name, program in loaded(generator).items()}
    ready = call["arrange"](weights)
    identity = call["identify"](ready, still)
    state = stablehlo.carry_to_state(generator.initial_carry(2))
    after, drawn = call["animate"](ready, identity, windows, noise, state)
    assert np.abs(drawn - frames).max() < LIMIT and np.std(frames) > 0.2
    assert after.keys() == stablehlo.state_sizes(generator).keys()
    for name, value in stablehlo.carry_to_state(carry).items():
        assert np.abs(after[name] - value).max() < LIMIT
    for t in range(7):
        state, frame = call["step"](ready, identity, windows[:, t], noise[:, t], state)
        assert np.abs(frame - frames[:, t]).max() < LIMIT


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (3, 1), (1, 75), (3, 75)])
def test_batch_and_length_may_be_any(batch, frames):
    generator, variables, (still, windows, noise), (_, expected) = tiny_example(batch, frames)
    weights = bundle.flatten_weights(fused_generator.fuse_weights(generator, variables))
    made = loaded(generator)
    ready = made["arrange"].call(weights)
    identity = made["identify"].call(ready, still)
    state = stablehlo.carry_to_state(generator.initial_carry(batch))
    _, drawn = made["animate"].call(ready, identity, windows, noise, state)
    assert np.abs(drawn - expected).max() < LIMIT


def test_one_file_is_for_every_platform_and_holds_no_weights():
    config = tiny_config()
    generator = networks.generator(config.data, config.model)
    numbers = sum(np.prod(shape) for shape in bundle.weight_shapes(generator).values())
    for program in loaded(generator).values():
        assert program.platforms == ("cpu", "cuda", "tpu")
        assert "dense_resource" not in (text := program.mlir_module())
        assert len(program.mlir_module_serialized) < numbers  # Of 4 bytes each.
        # Every product asks for full float32, wherever it runs.
        for line in text.splitlines():
            if "stablehlo.dot" in line or "stablehlo.convolution" in line:
                assert "HIGHEST" in line
