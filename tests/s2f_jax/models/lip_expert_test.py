"""The lip reader that judges generated mouths."""

import jax
import numpy as np

from data_pipelines.loading.lipreading_examples import MouthCrop
from s2f_jax.models.lip_expert import LipExpert, crop_mouths
from s2f_jax.models.lipnet import LipNet


def test_its_crop_is_the_reader_s_own():
    """But for OpenCV's rounding, to 1/32 of a pixel and to whole levels."""
    y, x = np.mgrid[:128, :96]
    smooth = np.stack([x, y, 128 + 60 * np.sin(x / 9) * np.cos(y / 7)], axis=-1)
    for height, width, crop in (
        (128, 96, MouthCrop(50, 100, 40.0)),
        (64, 48, MouthCrop(24, 32, 13.6)),
    ):
        frames = smooth[None, :: 128 // height, :: 96 // width].astype(np.uint8)
        cropped = crop_mouths(frames.astype(np.float32), crop)
        assert cropped.shape == (1, crop.height, crop.width, 3)
        np.testing.assert_allclose(cropped, crop(frames), atol=1.01)


def test_it_reads_as_the_reader_does_with_the_reader_s_variables():
    crop, reader = MouthCrop(24, 32, 13.6), LipNet(widths=(4, 4, 4), features=4, steps_per_frame=2)
    frames = np.random.default_rng(0).uniform(-1, 1, (2, 5, 64, 48, 3)).astype(np.float32)
    mask = np.ones((2, 5), bool)
    mouths = (crop_mouths(frames, crop) + 1) / 2
    variables = reader.init(jax.random.key(0), mouths, mask, False)
    expected = reader.apply(variables, mouths, mask, False)
    expert = LipExpert(reader, crop)
    np.testing.assert_allclose(expert.apply(variables, frames, mask), expected, atol=1e-5)
    own = jax.eval_shape(expert.init, jax.random.key(0), frames, mask)
    assert jax.tree.structure(own) == jax.tree.structure(variables)
