"""What deep supervision reads of a mouth."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.fft

from data_pipelines.faces.boxes import mouth_box
from s2f_jax.models.context_readout import FREQUENCIES, ContextReadout, draw_mouths, mouth_code


def test_a_mouth_s_code_is_the_low_corner_of_its_cosine_transform():
    frames = np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 48, 3)).astype(np.float32)
    rows, columns = mouth_box(64, 48)
    mouth = frames[..., rows, columns, :].mean(axis=-1)
    low = scipy.fft.dctn(mouth, axes=(2, 3), norm="ortho")[..., :FREQUENCIES, :FREQUENCIES]
    np.testing.assert_allclose(mouth_code(frames), low.reshape(2, 3, -1), atol=1e-5)
    elsewhere = frames.copy()
    elsewhere[..., : rows.start, :, :] = 0
    np.testing.assert_array_equal(mouth_code(elsewhere), mouth_code(frames))


def test_a_mouth_drawn_by_its_code_has_that_code_and_all_else_is_the_still_s():
    still, *frames = np.random.default_rng(0).uniform(-1, 1, (4, 64, 48, 3)).astype(np.float32)
    frames, still = np.stack(frames)[None], still[None]
    change = mouth_code(frames) - mouth_code(still)[:, None]
    drawn = np.array(draw_mouths(jnp.asarray(still), change))
    np.testing.assert_allclose(mouth_code(drawn), mouth_code(frames), atol=1e-4)
    rows, columns = mouth_box(64, 48)
    added = drawn - still[:, None]
    assert np.abs(added[:, :, rows, columns]).max() > 0.1
    for colour in (1, 2):
        np.testing.assert_allclose(added[..., colour], added[..., 0], atol=1e-6)
    light = added[:, :, rows, columns, 0]
    low = scipy.fft.dctn(light, axes=(2, 3), norm="ortho")
    low[..., :FREQUENCIES, :FREQUENCIES] = 0
    np.testing.assert_allclose(low, 0, atol=1e-5)
    added[:, :, rows, columns] = 0
    assert not added.any()


def test_what_is_wanted_comes_in_units_of_its_root_mean_square_whatever_pads_it():
    """Values 3 and 300, of either sign: 1 and 1. The padding is not counted."""
    signs = np.where(np.random.default_rng(0).uniform(size=(2, 8, 2)) < 0.5, -1.0, 1.0)
    wanted = jnp.asarray(signs * [3.0, 300.0], jnp.float32)
    wanted = wanted.at[:, 6:].set(1e6)
    mask = jnp.arange(8)[None].repeat(2, 0) < 6
    readout, z_c = ContextReadout(), jnp.ones((2, 8, 5))
    variables = readout.init(jax.random.key(0), z_c, wanted, mask, False)
    assert variables["params"]["code"]["kernel"].shape == (5, 2)
    for steps in (1, 2, 3):
        (_, scaled, scale), new = readout.apply(
            variables, z_c, wanted, mask, True, mutable=["batch_stats"]
        )
        np.testing.assert_allclose(np.abs(scaled[:, :6]), 1, rtol=1e-4)
        np.testing.assert_allclose(scale, [3, 300], rtol=1e-4)
        assert new["batch_stats"]["steps"] == steps
        variables = variables | new
    np.testing.assert_allclose(variables["batch_stats"]["squares"], [9, 90000], rtol=1e-4)
    # Later batches count by 1 / 4 here, in the fourth step.
    _, new = readout.apply(variables, z_c, 3 * wanted, mask, True, mutable=["batch_stats"])
    np.testing.assert_allclose(new["batch_stats"]["squares"], [27, 270000], rtol=1e-4)
