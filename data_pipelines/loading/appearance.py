"""Augmentation of a training clip's looks: the same change of its still and of all its frames.

So identity still comes from the still and motion from the sound, but a network that has seen few
people meets many faces.
"""

import dataclasses
from typing import Any

import cv2
import numpy as np

from data_pipelines.loading import face_warp

# Ranges at strength 1: logarithms of factors unless the line says otherwise. Chosen by looking at
# augmented clips of 12 speakers of GRID: beyond them skin turns green or violet, or lips vanish.
_HUE = 12.0  # Degrees.
_SATURATION = (-0.9, 0.2)
_WHITE_BALANCE = 0.16  # Of red and of blue.
_GAIN = 0.2
_GAMMA = 0.45
_CONTRAST = 0.2
_GRADIENT = 0.45  # From the middle to the edge of the image.
# Shares of the image's width around the face's outline: what is kept, and how wide the blend is.
_MARGIN, _EDGE = 0.04, 0.08
_BLUR = 0.15  # Standard deviation of a blurred background, share of the width.
_UNIT = 128  # The gain 1 in the map of the light.
# W3C Filter Effects, feColorMatrix: the weights of luminance, and what a hue rotation adds by its sine.
_LUMINANCE = np.array([0.213, 0.715, 0.072])
_HUE_SINE = np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])


@dataclasses.dataclass(frozen=True)
class Change:
    """One change of appearance, the same for every picture that it is applied to.

    Its parts are applied in this order; None: left out.

    Attributes:
      maps: Where each pixel comes from, as cv2.remap takes it.
      keep: What stays of the picture, uint8 [H, W, 3] in 1/255.
      backdrop: What is added to that, uint8 [H, W, 3].
      matrix: Of RGB, float32 [3, 3].
      table: New level of each level, uint8 [256, 3].
      light: Gain of each pixel, uint8 [H, W, 3] in 1/128.
    """

    maps: tuple[np.ndarray, np.ndarray] | None = None
    keep: np.ndarray | None = None
    backdrop: np.ndarray | None = None
    matrix: np.ndarray | None = None
    table: np.ndarray | None = None
    light: np.ndarray | None = None

    def __call__(self, frames: np.ndarray) -> None:
        """Changes pictures in place.

        Args:
          frames: RGB, uint8 [T, H, W, 3].
        """
        for frame in frames:
            image = self._moved(frame)
            if self.matrix is not None:
                image = cv2.transform(image, self.matrix)
            if self.table is not None:
                image = cv2.LUT(image, self.table[:, None])
            if self.light is not None:
                image = cv2.multiply(image, self.light, scale=1 / _UNIT)
            frame[:] = image

    def _moved(self, image: np.ndarray) -> np.ndarray:
        # Warped, before another background.
        if self.maps is not None:
            image = cv2.remap(image, *self.maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        if self.keep is not None and self.backdrop is not None:
            image = cv2.add(cv2.multiply(image, self.keep, scale=1 / 255), self.backdrop)
        return image


@dataclasses.dataclass(frozen=True)
class Appearance:
    """Random changes of a training clip's looks; the paper has none but mirroring.

    Attributes:
      color: Strength, 0 to 1, of changes of hue, saturation and white balance.
      light: Strength, 0 to 1, of changes of gain, gamma, contrast, and of light from one side.
      background: Share of examples, 0 to 1, whose background is replaced: by a colour, by a smooth
        random pattern, or by itself, blurred.
      warp: Strength, 0 to 1, of changes of the face's proportions.
    """

    color: float = 0.0
    light: float = 0.0
    background: float = 0.0
    warp: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.color or self.light or self.background or self.warp)

    @property
    def features(self) -> tuple[str, ...]:
        """The shards' features that the changes depend on, beside those of every example."""
        return ("landmarks",) if self.background or self.warp else ()

    def draw(self, still: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> Change:
        """Draws a change for a clip.

        Args:
          still: The clip's first frame, RGB, uint8 [H, W, 3].
          landmarks: iBUG points of all its frames, [T, 68, 2], pixels; NaN unless `features`
            has them.
          rng: Source of randomness.

        Returns:
          The change.
        """
        parts: dict[str, Any] = {}
        warp, (height, width) = None, still.shape[:2]
        if self.features:
            assert np.isfinite(landmarks).all(), "the landmarks of the clips were not read"
        if self.warp:
            mean = landmarks.mean(axis=0)
            warp = face_warp.draw_warp(mean, (width, height), self.warp, rng)
            x, y = np.moveaxis(warp.maps(), -1, 0)
            parts["maps"] = cv2.convertMaps(x.copy(), y.copy(), cv2.CV_16SC2)
        if self.background and rng.random() < self.background:
            outline = _outline(landmarks)
            share = _background_share(warp.warped(outline) if warp else outline, height, width)
            warped = Change(**parts)._moved(still)
            backdrop = share * _draw_background(warped, share, rng)
            parts["backdrop"] = np.round(backdrop).astype(np.uint8)
            parts["keep"] = np.round(255 * (1 - share)).astype(np.uint8).repeat(3, axis=2)
        if self.color:
            parts["matrix"] = _draw_color_matrix(self.color, rng)
        if self.color or self.light:
            parts["table"] = _draw_table(self.color, self.light, rng)
        if self.light:
            parts["light"] = _draw_light(height, width, self.light, rng)
        return Change(**parts)


NO_CHANGE = Appearance()


def mirrored(landmarks: np.ndarray, width: int) -> np.ndarray:
    """Mirrors points as an image is; the points keep their numbers.

    Args:
      landmarks: [..., 2], (x, y) in pixels.
      width: Of the image, pixels.

    Returns:
      [..., 2].
    """
    return landmarks * (-1, 1) + (width - 1, 0)


def _outline(landmarks: np.ndarray) -> np.ndarray:
    """Returns points [N, 2] whose hull holds the heads of all frames, foreheads included."""
    jaw = landmarks.mean(axis=0)[:17]
    center = (jaw[0] + jaw[16]) / 2
    half_width, height = np.linalg.norm(jaw[16] - jaw[0]) / 2, np.linalg.norm(jaw[8] - center)
    # The eyes lie halfway between chin and crown.
    angles = np.linspace(0, np.pi, 17)
    forehead = center + np.stack([half_width * np.cos(angles), -height * np.sin(angles)], -1)
    points = np.concatenate([landmarks.reshape(-1, 2), forehead]).astype(np.float32)
    return cv2.convexHull(points)[:, 0]


def _background_share(outline: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns how much of each pixel is background, 0 to 1, [H, W, 1]: none inside the outline."""
    fine = max(1, 256 // height)  # Drawn at a multiple of the size, or the edge would be jagged.
    outside = np.ones((fine * height, fine * width), np.uint8)
    points = cv2.convexHull(((outline + 0.5) * fine - 0.5).astype(np.float32))
    cv2.fillConvexPoly(outside, np.round(points).astype(np.int32), 0)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / outside.shape[1]
    distance = cv2.resize(distance, (width, height), interpolation=cv2.INTER_AREA)
    share = np.clip((distance - _MARGIN) / _EDGE, 0, 1)[..., None]
    return share**2 * (3 - 2 * share)


def _draw_background(image: np.ndarray, share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns another background, float [H, W, 3], of three kinds equally often."""
    height, width = image.shape[:2]
    kind = rng.integers(3)
    if kind == 0:
        return np.broadcast_to(rng.uniform(0, 255, 3), image.shape)
    if kind == 1:
        coarse = rng.uniform(0, 255, 3) + rng.uniform(-96, 96, (4, 3, 3))
        fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.clip(fine, 0, 255)
    shares = share[..., 0].astype(np.float32)
    sums = cv2.GaussianBlur(image * shares[..., None], (0, 0), _BLUR * width)
    weights = cv2.GaussianBlur(shares, (0, 0), _BLUR * width)[..., None]
    return np.clip(sums / np.maximum(weights, 1e-6), 0, 255)


def _draw_color_matrix(strength: float, rng: np.random.Generator) -> np.ndarray:
    """Returns a rotation of the hue and another saturation, float32 [3, 3]; greys stay."""
    angle = np.radians(rng.uniform(-strength, strength) * _HUE)
    saturation = np.exp(rng.uniform(*_SATURATION) * strength)
    grey = np.tile(_LUMINANCE, (3, 1))
    color = np.cos(angle) * (np.eye(3) - grey) + np.sin(angle) * _HUE_SINE
    return (grey + saturation * color).astype(np.float32)


def _draw_table(color: float, light: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the new level of each level of the three channels, uint8 [256, 3]; rising."""
    gains = np.exp(rng.uniform(-1, 1, 3) * (1, 0, 1) * _WHITE_BALANCE * color)
    gains /= _LUMINANCE @ gains
    gain, gamma, contrast = np.exp(rng.uniform(-1, 1, 3) * (_GAIN, _GAMMA, _CONTRAST) * light)
    level = (gain * gains * np.linspace(0, 1, 256)[:, None]) ** gamma
    level = 0.5 + contrast * (level - 0.5)
    return np.round(255 * np.clip(level, 0, 1)).astype(np.uint8)


def _draw_light(height: int, width: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Returns gains that change steadily in one direction, uint8 [H, W, 3] in 1/128."""
    direction = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, strength) * _GRADIENT
    y, x = np.linspace(-1, 1, height)[:, None, None], np.linspace(-1, 1, width)[None, :, None]
    along = np.clip(np.cos(direction) * x + np.sin(direction) * y, -1, 1)
    return np.round(_UNIT * np.exp(slope * along)).astype(np.uint8).repeat(3, axis=2)
