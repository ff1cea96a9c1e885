"""The face in every frame of a video: its 68 landmarks, by MediaPipe's Face Landmarker.

The model sees each frame by itself, as in `prepare`; of several faces, the one that is the largest
where a face first appears is followed. Frames are searched in several processes, and repetitions of
the frame before are not searched again.
"""

import contextlib
import dataclasses
import hashlib
import io
import itertools
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

_CACHE_VERSION = 2  # Part of every key; a new one searches all videos again.
# A frame is enlarged to the whole multiple of its size at which the shorter side has so many pixels.
# The model, which scales every face to 256x256 by itself, finds as many at any size; but in a drawn
# 64x48 frame it reads the mouth's points within 0.66 px so, and within 0.90 px as it is.
_SHORTER_SIDE = 256
_FRAMES_PER_TASK = 100  # Loading the model for a task takes as long as searching two frames.
_SEARCH_INTERVAL = 50  # Frames, until a face is found; each takes as long as 10 to 100 looks.
_MIN_SHARE = 0.8  # Of the frames must show the face: a gap hides blinks.
_MAX_REMEMBERED = 512  # Videos in memory, 41 kB each for 75 frames.


@dataclasses.dataclass(frozen=True)
class FaceTrack:
    """One face through a video.

    Attributes:
      landmarks: float32 [T, 68, 2], (x, y) in pixels; the center of the first pixel is (0, 0).
      missing_frames: Frames without the face, whose landmarks are interpolated linearly in time.
    """

    landmarks: np.ndarray
    missing_frames: int


class FaceTracker:
    """Tracks the face through videos, and caches the tracks of those that will be asked for again.

    Without a working landmark model no face is found, and `problem` says why.

    Args:
      workers: Processes; 0 for one per core.
      cache_dir: Folder that keeps the tracks for other runs.

    Attributes:
      problem: Why there is no landmark model; "" where there is one.
    """

    def __init__(self, workers: int = 0, cache_dir: epath.PathLike | None = None):
        self.problem = ""
        self._pool = processes.WorkerPool(workers)
        self._cache_dir = None if cache_dir is None else epath.Path(cache_dir)
        self._remembered: dict[str, np.ndarray] = {}
        try:
            # A model that does not load is reported once, here, and not by every worker.
            face_landmarks.FaceFinder(tracking.MAX_FACES).close()
            self._model_digest = download.file_digest(face_landmarks.model_path(), "sha256")
        except UserError as error:
            self.problem = str(error)

    def __call__(
        self, videos: Sequence[np.ndarray], cacheable: Sequence[bool]
    ) -> list[FaceTrack | str]:
        """Tracks the face through each video.

        Args:
          videos: uint8 [T_i, H_i, W_i, 3] each.
          cacheable: For each video, whether its track is worth keeping, by the video's content.

        Returns:
          The track of each, or the reason (NO_MODEL, TOO_FEW) why there is none.
        """
        if self.problem:
            return [NO_MODEL] * len(videos)
        asked = zip(videos, cacheable, strict=True)
        keys = [self._content_key(video) if keep else str(id(video)) for video, keep in asked]
        cache_keys = {key for key, keep in zip(keys, cacheable, strict=True) if keep}
        cached = {key: self._load_cached(key) for key in cache_keys}
        known = {key: landmarks for key, landmarks in cached.items() if landmarks is not None}
        missing = {key: video for key, video in zip(keys, videos, strict=True) if key not in known}
        for key, landmarks in zip(missing, self._search(list(missing.values())), strict=True):
            known[key] = landmarks
            if key in cache_keys:
                self._save_cached(key, landmarks)
        return [_track(known[key]) for key in keys]

    def close(self) -> None:
        """Ends the processes."""
        self._pool.close()

    def _search(self, videos: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Landmarks [T_i, 68, 2] of the followed face of each video, NaN where it is not seen."""
        is_new = [_differs_from_previous(video) for video in videos]
        tasks = []
        for video, new in zip(videos, is_new, strict=True):
            starts = range(_FRAMES_PER_TASK, new.sum(), _FRAMES_PER_TASK)
            tasks += [video[piece] for piece in np.split(np.flatnonzero(new), starts)]
        frame_faces = itertools.chain.from_iterable(self._pool.map(detect_faces, tasks))
        landmarks = []
        for new in is_new:
            faces = list(itertools.islice(frame_faces, new.sum()))
            # A repeated frame has the faces of the last new one before it.
            landmarks.append(_follow([faces[n] for n in np.cumsum(new) - 1]))
        return landmarks

    def _content_key(self, video: np.ndarray) -> str:
        """Digest of all that the landmarks depend on."""
        digest = hashlib.sha256(f"{_CACHE_VERSION} {self._model_digest} {video.shape}".encode())
        digest.update(np.ascontiguousarray(video).data)
        return digest.hexdigest()

    def _load_cached(self, key: str) -> np.ndarray | None:
        if key in self._remembered or self._cache_dir is None:
            return self._remembered.get(key)
        path = self._cache_dir / f"{key}.npz"
        try:
            with np.load(io.BytesIO(path.read_bytes())) as arrays:
                return arrays["landmarks"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            print(f"{path} is damaged ({error}): its video is searched again")
            return None

    def _save_cached(self, key: str, landmarks: np.ndarray) -> None:
        self._remembered[key] = landmarks
        if len(self._remembered) > _MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        if self._cache_dir is not None:
            buffer = io.BytesIO()
            np.savez(buffer, landmarks=landmarks)
            files.write_atomically(self._cache_dir / f"{key}.npz", buffer.getvalue())


def detect_faces(frames: np.ndarray) -> list[list[face_landmarks.DetectedFace]]:
    """Detects all faces of each frame; runs in a worker process.

    Args:
      frames: uint8 [T, H, W, 3].

    Returns:
      The faces of each frame, largest first, in pixels of the frame.
    """
    enlarged_faces, last = [], None
    with contextlib.closing(face_landmarks.FaceFinder(tracking.MAX_FACES)) as finder:
        for t, frame in enumerate(frames):
            image = upscale_for_detector(frame)
            search = t % _SEARCH_INTERVAL == 0
            faces = tracking.detect_in_frame(image, last, search, finder)
            enlarged_faces.append(faces)
            last = tracking.nearest_face(faces, last, 0) or last
    k = _upscaling(frames)
    return [
        [dataclasses.replace(face, landmarks=(face.landmarks + 0.5) / k - 0.5) for face in faces]
        for faces in enlarged_faces
    ]


def upscale_for_detector(frame: np.ndarray) -> np.ndarray:
    """Enlarges a small frame to the size at which the model reads it best.

    Args:
      frame: uint8 [H, W, 3].

    Returns:
      uint8 [k H, k W, 3] with a whole k; a large frame itself.
    """
    k = _upscaling(frame[None])
    return cv2.resize(frame, None, fx=k, fy=k, interpolation=cv2.INTER_CUBIC) if k > 1 else frame


def _upscaling(frames: np.ndarray) -> int:
    return -(-_SHORTER_SIDE // min(frames.shape[1:3]))


def _differs_from_previous(video: np.ndarray) -> np.ndarray:
    """Bool [T]: whether each frame of [T, H, W, 3] differs from the one before."""
    repeats = [np.array_equal(a, b) for a, b in zip(video, video[1:], strict=False)]
    return ~np.array([False, *repeats])


def _follow(frame_faces: Sequence[Sequence[face_landmarks.DetectedFace]]) -> np.ndarray:
    """Landmarks float32 [T, 68, 2] of one of the faces of each frame, NaN where it is not seen."""
    landmarks = np.full((len(frame_faces), 68, 2), np.nan, np.float32)
    last, empty = None, 0
    for t, faces in enumerate(frame_faces):
        face = tracking.nearest_face(faces, last, empty)
        if face is None:
            empty += not faces
        else:
            landmarks[t], last, empty = face.landmarks, face, 0
    return landmarks


def _track(landmarks: np.ndarray) -> FaceTrack | str:
    """Interpolates the gaps (NaN) of float32 [T, 68, 2]; the reason where they are too many."""
    present = np.isfinite(landmarks[:, 0, 0])
    if present.mean() < _MIN_SHARE:
        return TOO_FEW
    times, paths = np.arange(len(present)), landmarks.reshape(len(present), -1).T
    filled = np.stack([np.interp(times, times[present], path[present]) for path in paths], axis=1)
    filled = filled.reshape(landmarks.shape).astype(landmarks.dtype)
    return FaceTrack(filled, int((~present).sum()))
