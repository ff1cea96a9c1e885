"""Scenes drawn by code with a real face in them, of any size and tilt, at a known place."""

import contextlib
import dataclasses
import pathlib

import av
import cv2
import numpy as np

from data_pipelines.faces import alignment

ASPECTS = (16 / 9, 4 / 3, 1.0, 3 / 4, 9 / 16)
SIDES = (600, 3000)  # Pixels of a scene's longer side, at least and at most.


@dataclasses.dataclass
class Scene:
    """A picture, the landmarks of the face in it, and the face's share of the longer side."""

    image: np.ndarray
    landmarks: np.ndarray
    share: float
    tilt: float
    kind: str


def grid_frames(grid, per_speaker=1, per_clip=1, seed=0):
    """Frames of every speaker below shared/grid, uint8 [H, W, 3]; half are mirrored."""
    rng = np.random.default_rng(seed)
    frames = []
    for folder in sorted(pathlib.Path(grid).glob("s*"), key=lambda path: int(path.name[1:])):
        clips = sorted(folder.glob("*.mpg"))
        for clip in rng.permutation(np.array(clips, object))[:per_speaker]:
            decoded = []
            with av.open(str(clip)) as file, contextlib.suppress(av.FFmpegError):
                for frame in file.decode(video=0):
                    decoded.append(frame.to_ndarray(format="rgb24"))
            for t in rng.integers(0, len(decoded), per_clip):
                mirrored = rng.random() < 0.5
                frames.append(np.ascontiguousarray(decoded[t][:, :: -1 if mirrored else 1]))
    return frames


def background(kind, height, width, frame, rng):
    """A picture without a face, uint8 [H, W, 3]."""
    if kind == "gradient":
        corners = rng.integers(0, 256, (2, 2, 3)).astype(np.float32)
        image = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    elif kind == "noise":
        image = rng.integers(0, 256, (height, width, 3)).astype(np.float32)
    elif kind == "clouds":
        image = np.zeros((height, width, 3), np.float32)
        for cells in (3, 9, 27, 81, 243):
            noise = rng.normal(0, 1, (cells, cells, 3)).astype(np.float32)
            image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) / cells**0.5
        image = 127 + 60 * image
    elif kind == "shapes":
        image = np.full((height, width, 3), rng.integers(0, 256, 3), np.float32)
        for _ in range(120):
            center = rng.integers(0, (width, height)).tolist()
            axes = rng.integers(4, max(6, max(height, width) // 8), 2).tolist()
            color = rng.integers(0, 256, 3).tolist()
            cv2.ellipse(image, center, axes, int(rng.integers(360)), 0, 360, color, -1, cv2.LINE_AA)
    elif kind == "stripes":
        wave = (
            np.sin(np.arange(width) / rng.uniform(3, 40))[None]
            * np.sin(np.arange(height) / rng.uniform(3, 40))[:, None]
        )
        image = np.repeat(127 + 120 * wave[..., None], 3, axis=2)
    else:  # Patches of the frame's upper corners, in which there is no face.
        patch = frame[: frame.shape[0] // 4, : frame.shape[1] // 6]
        tiles = np.tile(patch, (-(-height // patch.shape[0]), -(-width // patch.shape[1]), 1))
        image = tiles[:height, :width].astype(np.float32) * rng.uniform(0.5, 1.3)
    return np.clip(image, 0, 255).astype(np.uint8)


BACKGROUNDS = ("gradient", "noise", "clouds", "shapes", "stripes", "patches")


def compose(frame, landmarks, share, tilt, rng, kind=None, side=None):
    """Puts the face of a frame into a scene, with a soft edge or as a rectangle.

    Its width, from jaw to jaw, is `share` of the scene's longer side.
    """
    kind = kind or BACKGROUNDS[rng.integers(len(BACKGROUNDS))]
    side = side or int(np.exp(rng.uniform(*np.log(SIDES))))
    aspect = ASPECTS[rng.integers(len(ASPECTS))]
    width, height = (side, round(side / aspect)) if aspect >= 1 else (round(side * aspect), side)
    scene = background(kind, height, width, frame, rng)
    face_width = np.ptp(landmarks[:17, 0])
    scale = share * side / face_width
    center = (landmarks.min(axis=0) + landmarks.max(axis=0)) / 2
    radius = 0.75 * scale * np.hypot(*np.ptp(landmarks, axis=0))
    low, high = np.minimum(radius, (width / 2, height / 2)), (width, height)
    at = rng.uniform(low, high - low)
    angle = np.radians(tilt)
    turned = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    transform = np.column_stack([turned, at - turned @ center])
    mask = np.full(frame.shape[:2], 255, np.uint8)
    if rng.random() < 0.5:  # The head alone.
        mask[:] = 0
        axes = (0.85 * face_width, 1.25 * np.ptp(landmarks[:, 1]))
        middle = center - (0, 0.15 * axes[1])
        cv2.ellipse(
            mask, [int(v) for v in middle], [int(v / 1.3) for v in axes], 0, 0, 360, 255, -1
        )
        mask = cv2.GaussianBlur(mask, (0, 0), 4)
    size = (width, height)
    small, used = shrunk(frame, transform, scale)
    small_mask, _ = shrunk(mask, transform, scale)
    over = cv2.warpAffine(small, used, size, flags=cv2.INTER_CUBIC)
    alpha = cv2.warpAffine(small_mask, used, size)[..., None] / 255
    image = np.clip(alpha * over + (1 - alpha) * scene, 0, 255).astype(np.uint8)
    return Scene(image, alignment.transform_points(transform, landmarks), share, tilt, kind)


def shrunk(image, transform, scale):
    """Averages an image over areas, as a warp would sample it; with the transform that is left."""
    if scale >= 1:
        return image, transform
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    factor = np.array(small.shape[1::-1]) / image.shape[1::-1]
    rest = transform.copy()
    rest[:, :2] /= factor
    rest[:, 2] += transform[:, :2] @ (0.5 / factor - 0.5)
    return small, rest
