"""The discriminators see what the paper says they see."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s2f_jax.models.frame_discriminator import FrameDiscriminator
from s2f_jax.models.sequence_discriminator import SequenceDiscriminator

RNG = np.random.default_rng(0)
TINY = {
    "audio_rate": 1000,
    "stride": 40,
    "window": 160,
    "features": 6,
    "width": 4,
    "audio_width": 2,
}


def clips(frames=6):
    video = jnp.asarray(RNG.uniform(-1, 1, (2, frames, 32, 24, 3)), jnp.float32)
    audio = jnp.asarray(RNG.uniform(-1, 1, (2, (frames - 1) * 40 + 160)), jnp.float32)
    return video, audio, jnp.ones((2, frames), bool)


def logits(module, *inputs):
    variables = jax.jit(lambda *x: module.init(jax.random.key(0), *x, train=False))(*inputs)
    return variables, jax.jit(lambda v, *x: module.apply(v, *x, train=False))


def test_a_discriminator_is_built_from_its_section_and_the_generator():
    section = {"features": 6, "width": 4, "audio_width": 2, "fusion": "sum", "audio": True}
    section |= {"differences": True, "norm": "none", "negatives": ["held"]}  # As JSON has a tuple.
    generator = SimpleNamespace(audio_rate=1000, stride=40, window=160, dtype=jnp.bfloat16)
    more = {"weight": 0.2, "dtype": jnp.float16, "name": "x"}  # What is no field of its own.
    built = SequenceDiscriminator.from_config(section | more, generator)
    options = {"differences": True, "norm": "none", "negatives": ("held",), "dtype": jnp.bfloat16}
    assert built == SequenceDiscriminator(**TINY, fusion="sum", audio=True, **options)
    del section["width"]
    with pytest.raises(KeyError, match="width"):
        SequenceDiscriminator.from_config(section, generator)


def test_frame_discriminator_has_six_layers_and_one_logit():
    image = jnp.zeros((2, 128, 96, 3))
    module = FrameDiscriminator()
    variables = jax.eval_shape(lambda: module.init(jax.random.key(0), image, image, train=False))
    kernels = [x for x in jax.tree.leaves(variables["params"]) if x.ndim == 4]
    assert len(kernels) == 6
    out = jax.eval_shape(lambda v: module.apply(v, image, image, train=False), variables)
    assert out.shape == (2,)


def test_frame_discriminator_sees_frame_and_still():
    video, _, _ = clips()
    frame, still = video[:, 1], video[:, 0]
    variables, apply = logits(FrameDiscriminator(4), frame, still)
    base = apply(variables, frame, still)
    assert (apply(variables, -frame, still) != base).all()
    assert (apply(variables, frame, -still) != base).all()


@pytest.mark.parametrize("fusion", ["last", "step"])
def test_sequence_discriminator_sees_every_frame_and_the_sound(fusion):
    video, audio, mask = clips()
    variables, apply = logits(SequenceDiscriminator(**TINY, fusion=fusion), video, audio, mask)
    base = apply(variables, video, audio, mask)
    for t in (0, 3, 5):
        assert (apply(variables, video.at[:, t].multiply(-1), audio, mask) != base).all()
    assert (apply(variables, video, -audio, mask) != base).all()


def test_padding_does_not_reach_the_logit():
    video, audio, mask = clips()
    module = SequenceDiscriminator(**TINY)
    variables, _ = logits(module, video, audio, mask)
    mask = mask.at[:, 4:].set(False)

    def judged(video):
        return module.apply(variables, video, audio, mask, train=True, mutable=["batch_stats"])

    (first, first_stats), (second, second_stats) = judged(video), judged(video.at[:, 4:].set(0))
    np.testing.assert_array_equal(first, second)
    jax.tree.map(np.testing.assert_array_equal, first_stats, second_stats)


def test_an_unknown_fusion_is_refused():
    with pytest.raises(ValueError, match="fusion='sum'"):
        logits(SequenceDiscriminator(**TINY, fusion="sum"), *clips())


def test_frame_discriminator_without_the_still_does_not_see_it():
    video, _, _ = clips()
    frame, still = video[:, 1], video[:, 0]
    variables, apply = logits(FrameDiscriminator(4, still=False), frame, still)
    base = apply(variables, frame, still)
    assert (apply(variables, -frame, still) != base).all()
    np.testing.assert_array_equal(apply(variables, frame, -still), base)


def test_sequence_discriminator_without_sound_does_not_hear_it():
    video, audio, mask = clips()
    module = SequenceDiscriminator(**TINY, audio=False)
    variables, apply = logits(module, video, audio, mask)
    base = apply(variables, video, audio, mask)
    np.testing.assert_array_equal(apply(variables, video, -audio, mask), base)
    assert (apply(variables, -video, audio, mask) != base).all()
