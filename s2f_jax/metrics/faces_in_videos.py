"""The face in every frame of a video: its 68 landmarks, found by MediaPipe's Face Landmarker.

The model looks at each frame by itself, as in `prepare`; of several faces the one is followed that
is the largest where the first one appears. Frames are searched in several processes, and those
that repeat the one before are not searched again.
"""

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Sequence

import cv2
import numpy as np
from etils import epath

from data_pipelines.common import download, files, processes
from data_pipelines.common.errors import UserError
from data_pipelines.faces import landmarks as face_landmarks
from data_pipelines.faces import tracking

NO_MODEL = "no face landmark model"
TOO_FEW = "the face is seen in too few frames"

_VERSION = 1  # Of what is kept on disk; a new one searches every video again.
# A frame is drawn at the whole multiple of its size at which the shorter side has so many pixels.
# The model, which scales every face to 256x256 by itself, finds as many at any size; but of a drawn
# 64x48 frame it reads the mouth's points within 0.66 px so, and 0.90 px as it is.
_SHORTER_SIDE = 256
_FRAMES = 100  # Of a task; to load the model for it takes as long as to search two.
_LEAST_SEEN = 0.8  # Of the frames: a gap hides blinks.
_REMEMBERED = 512  # Videos, at 41 kB for 75 frames.


@dataclasses.dataclass(frozen=True)
class FaceTrack:
    """One face through a video."""

    landmarks: np.ndarray  # float32 [T, 68, 2], (x, y) in pixels; the first one's centre is (0, 0).
    unseen: int  # Frames without it; their landmarks are those between, linear in time.


class FaceTracker:
    """Finds the face in videos, and remembers it for those that will come again."""

    def __init__(self, workers: int = 0, cache: epath.PathLike | None = None):
        """workers: processes, 0 for one per core; cache: a folder that remembers for other runs.

        Without a working landmark model `problem` says why, and no face is found.
        """
        self.problem = ""
        self._pool = processes.WorkerPool(workers)
        self._cache = None if cache is None else epath.Path(cache)
        self._remembered: dict[str, np.ndarray] = {}
        try:
            face_landmarks.FaceFinder(
                tracking.MAX_FACES
            ).close()  # One that does not load is said once, here.
            self._model = download.file_digest(face_landmarks.model_path(), "sha256")
        except UserError as error:
            self.problem = str(error)

    def __call__(
        self, videos: Sequence[np.ndarray], come_again: Sequence[bool]
    ) -> list[FaceTrack | str]:
        """Videos uint8 [T_i, H_i, W_i, 3] -> the face of each, or the reason why there is none.

        come_again: those worth remembering, by their content.
        """
        if self.problem:
            return [NO_MODEL] * len(videos)
        keys = [
            self._content(video) if again else str(id(video))
            for video, again in zip(videos, come_again, strict=True)
        ]
        lasting = {key for key, again in zip(keys, come_again, strict=True) if again}
        known = {key: found for key in lasting if (found := self._recall(key)) is not None}
        missing = {k: video for k, video in zip(keys, videos, strict=True) if k not in known}
        for key, found in zip(missing, self._search(list(missing.values())), strict=True):
            known[key] = found
            if key in lasting:
                self._remember(key, found)
        return [_track(known[key]) for key in keys]

    def close(self) -> None:
        """Ends the processes."""
        self._pool.close()

    def _search(self, videos: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Videos -> landmarks [T_i, 68, 2] of the face that is followed, NaN where it is unseen."""
        firsts = [_firsts(video) for video in videos]
        pieces = [
            (i, piece)
            for i, first in enumerate(firsts)
            for piece in np.split(np.flatnonzero(first), range(_FRAMES, first.sum(), _FRAMES))
        ]
        found: list[list[list[face_landmarks.DetectedFace]]] = [[] for _ in pieces]
        tasks = [videos[i][piece] for i, piece in pieces]
        for number, result in self._pool.each(detect_faces, tasks):
            if isinstance(result, Exception):
                raise result
            found[number] = result
        of_videos: list[list[list[face_landmarks.DetectedFace]]] = [[] for _ in videos]
        for (i, _), of_piece in zip(pieces, found, strict=True):
            of_videos[i] += of_piece
        return [
            _follow([of_video[n] for n in np.cumsum(first) - 1])
            for of_video, first in zip(of_videos, firsts, strict=True)
        ]

    def _content(self, video: np.ndarray) -> str:
        """Names all that the landmarks depend on."""
        digest = hashlib.sha256(f"{_VERSION} {self._model} {video.shape}".encode())
        digest.update(np.ascontiguousarray(video).data)
        return digest.hexdigest()

    def _recall(self, key: str) -> np.ndarray | None:
        if key in self._remembered or self._cache is None:
            return self._remembered.get(key)
        try:
            with np.load(io.BytesIO(self._file(key).read_bytes())) as kept:
                return kept["landmarks"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            print(f"{self._file(key)} is damaged ({error}): its video is searched again")
            return None

    def _remember(self, key: str, landmarks: np.ndarray) -> None:
        self._remembered[key] = landmarks
        if len(self._remembered) > _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        if self._cache is not None:
            buffer = io.BytesIO()
            np.savez(buffer, landmarks=landmarks)
            files.write_atomically(self._file(key), buffer.getvalue())

    def _file(self, key: str) -> epath.Path:
        assert self._cache is not None
        return self._cache / f"{key}.npz"


def detect_faces(frames: np.ndarray) -> list[list[face_landmarks.DetectedFace]]:
    """uint8 [T, H, W, 3] -> the faces of each frame, largest first, in pixels of the frame."""
    cv2.setNumThreads(1)  # There is a process per core already.
    find = face_landmarks.FaceFinder(tracking.MAX_FACES)
    try:
        found = [find(large) for large in map(upscale_for_detector, frames)]
    finally:
        find.close()
    k = _enlargement(frames)
    return [
        [dataclasses.replace(face, landmarks=(face.landmarks + 0.5) / k - 0.5) for face in of_frame]
        for of_frame in found
    ]


def upscale_for_detector(frame: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> the same, as large as the model should see it."""
    k = _enlargement(frame[None])
    return cv2.resize(frame, None, fx=k, fy=k, interpolation=cv2.INTER_CUBIC) if k > 1 else frame


def _enlargement(frames: np.ndarray) -> int:
    return -(-_SHORTER_SIDE // min(frames.shape[1:3]))


def _firsts(video: np.ndarray) -> np.ndarray:
    """[T, H, W, 3] -> bool [T]: the frame is not the one before it."""
    repeats = [np.array_equal(a, b) for a, b in zip(video, video[1:], strict=False)]
    return ~np.array([False, *repeats])


def _follow(found: Sequence[Sequence[face_landmarks.DetectedFace]]) -> np.ndarray:
    """The faces of each frame -> float32 [T, 68, 2] of one of them, NaN where it is unseen."""
    landmarks = np.full((len(found), 68, 2), np.nan, np.float32)
    last, empty = None, 0
    for t, of_frame in enumerate(found):
        face = tracking.nearest(of_frame, last, empty)
        if face is None:
            empty += not of_frame
        else:
            landmarks[t], last, empty = face.landmarks, face, 0
    return landmarks


def _track(landmarks: np.ndarray) -> FaceTrack | str:
    """float32 [T, 68, 2], NaN where unseen -> without gaps, or the reason why not."""
    seen = np.isfinite(landmarks[:, 0, 0])
    if seen.mean() < _LEAST_SEEN:
        return TOO_FEW
    times = np.arange(len(seen))
    filled = np.empty_like(landmarks)
    for point in np.ndindex(landmarks.shape[1:]):
        path = landmarks[(slice(None), *point)]
        filled[(slice(None), *point)] = np.interp(times, times[seen], path[seen])
    return FaceTrack(filled, int((~seen).sum()))
