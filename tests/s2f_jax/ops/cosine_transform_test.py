"""The cosine transform against SciPy's."""

import numpy as np
import pytest
import scipy.fft

from s2f_jax.ops.cosine_transform import low_frequencies, smooth_images


@pytest.mark.parametrize(("height", "width"), [(20, 22), (5, 7)])
def test_low_frequencies_and_back(height, width):
    """Images of few pixels have fewer frequencies, and come back whole."""
    images = np.random.default_rng(0).normal(size=(2, 3, height, width)).astype(np.float32)
    corner = scipy.fft.dctn(images, axes=(2, 3), norm="ortho")
    rows, columns = min(8, height), min(8, width)
    low = low_frequencies(images, 8)
    np.testing.assert_allclose(
        low, corner[..., :rows, :columns].reshape(2, 3, -1), rtol=1e-4, atol=1e-5
    )
    corner[..., rows:, :] = 0
    corner[..., columns:] = 0
    smooth = scipy.fft.idctn(corner, axes=(2, 3), norm="ortho")
    np.testing.assert_allclose(smooth_images(low, 8, height, width), smooth, atol=1e-5)
