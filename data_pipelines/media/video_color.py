"""Shows HDR and wide-gamut video as a viewer with an ordinary screen shows it."""

import functools
from collections.abc import Callable

import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

# What FFmpeg's scaler makes of white where it gives 16 bits, by whether the levels are full range.
_SCALED_WHITE = {False: 65283, True: 65472}
_WHITE = 203.0  # Nits of diffuse white in HDR (ITU-R BT.2408, table 1).
_PEAK = 1000.0  # Nits of the screen that HLG is defined by and most PQ is graded on.
_HLG_GAMMA = 1.2  # Of that screen (BT.2100, table 5).
_SDR_GAMMA = 2.4  # BT.1886; what an ordinary video's levels mean, too.
_STRIP_PIXELS = 1 << 16  # At once: floats of a whole 4K frame take half a gigabyte.
_KNEE = 0.9  # Of the signal; what is brighter is compressed, what is darker stays.

# Linear RGB to that of BT.709 (BT.2087, and of SMPTE EG 432-1's primaries by the same derivation).
_TO_709 = {
    int(ColorPrimaries.BT2020): np.array(
        [
            [1.660491, -0.587641, -0.072850],
            [-0.124550, 1.132900, -0.008349],
            [-0.018151, -0.100579, 1.118730],
        ]
    ),
    int(ColorPrimaries.SMPTE432): np.array(
        [
            [1.224940, -0.224940, 0.0],
            [-0.042057, 1.042057, 0.0],
            [-0.019638, -0.078636, 1.098273],
        ]
    ),
}
_LUMINANCE_2020 = np.array([[0.2627, 0.6780, 0.0593]])  # BT.2020, table 4.


def sdr_conversion(
    transfer: int, primaries: int, color_range: int
) -> Callable[[np.ndarray], np.ndarray] | None:
    """Selects the conversion to the SDR of BT.709.

    PQ and HLG (BT.2100) are shown with diffuse white as SDR's white, and the highlights above it
    compressed, by the brightest of a pixel's channels, so that no hue changes.

    Args:
      transfer: The frame's transfer characteristic, an av ColorTrc.
      primaries: Its colour primaries, an av ColorPrimaries.
      color_range: Its range of levels, an av ColorRange.

    Returns:
      What turns FFmpeg's rgb48, uint16 [H, W, 3], into uint8 [H, W, 3]; None for video that is SDR
      of BT.709 or BT.601 already, or does not say.
    """
    is_hdr = transfer in (ColorTrc.ARIB_STD_B67, ColorTrc.SMPTE2084)
    if not is_hdr and primaries not in _TO_709:
        return None
    white = _SCALED_WHITE[color_range == ColorRange.JPEG]
    return functools.partial(_to_sdr, int(transfer), int(primaries), white)


def describe(transfer: int, primaries: int) -> str:
    """Names colours that are converted.

    Args:
      transfer: The frame's transfer characteristic, an av ColorTrc.
      primaries: Its colour primaries, an av ColorPrimaries.

    Returns:
      Such as "HLG shown as SDR"; "" for those of ordinary video.
    """
    hdr = {int(ColorTrc.ARIB_STD_B67): "HLG", int(ColorTrc.SMPTE2084): "PQ"}.get(transfer)
    if hdr:
        return f"{hdr} shown as SDR"
    return "wide gamut shown as BT.709" if primaries in _TO_709 else ""


def _to_sdr(transfer: int, primaries: int, white: int, signal: np.ndarray) -> np.ndarray:
    rows = max(1, _STRIP_PIXELS // signal.shape[1])
    strips = (signal[top : top + rows] for top in range(0, len(signal), rows))
    return np.concatenate([_strip_to_sdr(transfer, primaries, white, each) for each in strips])


def _strip_to_sdr(transfer: int, primaries: int, white: int, signal: np.ndarray) -> np.ndarray:
    linear = _light(transfer, white)[signal]  # Float32; 1 is diffuse white.
    if transfer == ColorTrc.ARIB_STD_B67:
        scene = cv2.transform(linear, _LUMINANCE_2020)
        linear *= (_PEAK / _WHITE * cv2.pow(scene, _HLG_GAMMA - 1))[..., None]
    matrix = _TO_709.get(primaries)
    linear = linear if matrix is None else cv2.transform(linear, matrix)
    shown = cv2.pow(np.maximum(linear, 0), 1 / _SDR_GAMMA)
    if transfer in (ColorTrc.ARIB_STD_B67, ColorTrc.SMPTE2084):
        brightest = shown.max(axis=2)
        shown *= (_compressed(brightest) / np.maximum(brightest, _KNEE))[..., None]
    return np.rint(np.clip(255 * shown, 0, 255)).astype(np.uint8)


def _compressed(level: np.ndarray) -> np.ndarray:
    # Takes [knee, peak] to [knee, 1], with the slope 1 at the knee; what is below it to the knee.
    peak = (_PEAK / _WHITE) ** (1 / _SDR_GAMMA)
    share = np.clip((level - _KNEE) / (peak - _KNEE), 0, 1)
    slope = (peak - _KNEE) / (1 - _KNEE)
    return _KNEE + (1 - _KNEE) * share * slope / (1 + share * (slope - 1))


@functools.cache
def _light(transfer: int, white: int) -> np.ndarray:
    # Float32 [65536], by signal: HLG's scene light; else the screen's, of which white is 1.
    signal = np.minimum(np.arange(65536) / white, 1)
    if transfer == ColorTrc.ARIB_STD_B67:  # BT.2100, table 5.
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        bright = (np.exp((signal - c) / a) + b) / 12
        return np.where(signal <= 0.5, signal**2 / 3, bright).astype(np.float32)
    if transfer == ColorTrc.SMPTE2084:  # BT.2100, table 4.
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        root = signal ** (1 / m2)
        nits = 10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
        return (nits / _WHITE).astype(np.float32)
    return (signal**_SDR_GAMMA).astype(np.float32)
