"""Aligned clips on disk, so that an interrupted run resumes."""

import dataclasses
import hashlib
import io
import itertools
import os
from collections.abc import Sequence

import numpy as np
from etils import epath

from data_pipelines.aligning import align_clip, duplicates
from data_pipelines.aligning.align_clip import AlignedClip, RawClip
from data_pipelines.common import files
from data_pipelines.contract import CorpusConfig

_CONTENT = ("jpegs.npy", "audio.npy")  # Members of a cached clip that tell copies.
_VERSION = 3  # Of what Cache.save writes, fingerprint included; a new one aligns every clip again.


@dataclasses.dataclass(frozen=True)
class ClipSummary:
    """What a builder needs to know of every aligned clip at once.

    Attributes:
      frames: Number of frames.
      size: Approximate bytes of the example.
      content: CRC-32 and size in bytes of the pictures and of the sound.
      fingerprint: Fingerprint of the recording, to find duplicates.
      filled: Seconds of the sound that are missing in the file, and silent in the example.
    """

    frames: int
    size: int
    content: tuple[tuple[int, int], ...]
    fingerprint: duplicates.Fingerprint
    filled: float = 0.0


class Cache:
    """Aligned clips and reasons for quarantine, one file each, named by all that they depend on.

    Args:
      root: The cache's folder.
      config: Format of the examples.

    Attributes:
      root: The cache's folder.
      config: Format of the examples.
    """

    def __init__(self, root: str | os.PathLike, config: CorpusConfig):
        self.root = epath.Path(root)
        self.config = config

    def path(self, clip: RawClip, suffix: str) -> epath.Path:
        """Returns where a file of a clip is or would be.

        Args:
          clip: The raw clip.
          suffix: "npz" for the aligned clip, "bad" for the reason for its quarantine.

        Returns:
          The file's path.
        """
        return self.root / clip.speaker / f"{self._stem(clip)}.{suffix}"

    def missing(self, clips: Sequence[RawClip]) -> list[RawClip]:
        """Selects the clips that are neither aligned nor quarantined.

        Args:
          clips: The raw clips.

        Returns:
          The clips that have to be aligned.
        """
        names = self._file_names(clips)
        stems = {name.removesuffix(".npz").removesuffix(".bad") for name in names}
        return [clip for clip in clips if self._stem(clip) not in stems]

    def reasons(self, clips: Sequence[RawClip]) -> dict[str, str]:
        """Reads why clips are quarantined.

        Args:
          clips: The raw clips.

        Returns:
          {id: reason} of those of them that are quarantined.
        """
        names = self._file_names(clips)
        bad = [clip for clip in clips if f"{self._stem(clip)}.bad" in names]
        return {clip.id: self.path(clip, "bad").read_text() for clip in bad}

    def save(self, clip: RawClip, aligned: AlignedClip) -> None:
        """Writes an aligned clip.

        Args:
          clip: The raw clip.
          aligned: What was made of it.
        """
        buffer = io.BytesIO()
        fingerprint = duplicates.fingerprint(aligned.audio, self.config.audio_rate, aligned.jpegs)
        np.savez(
            buffer,
            jpegs=np.frombuffer(b"".join(aligned.jpegs), np.uint8),
            sizes=[len(jpeg) for jpeg in aligned.jpegs],
            landmarks=aligned.landmarks,
            blink=aligned.blink,
            audio=aligned.audio,
            filled=aligned.filled,
            **dataclasses.asdict(fingerprint),
        )
        files.write_atomically(self.path(clip, "npz"), buffer.getvalue())

    def load(self, clip: RawClip) -> AlignedClip:
        """Reads an aligned clip.

        Args:
          clip: The raw clip.

        Returns:
          The aligned clip, as it was saved.
        """
        with np.load(io.BytesIO(self.path(clip, "npz").read_bytes())) as arrays:
            jpegs, ends = arrays["jpegs"].tobytes(), np.cumsum(arrays["sizes"])
            return AlignedClip(
                jpegs=[jpegs[a:b] for a, b in itertools.pairwise([0, *ends])],
                landmarks=arrays["landmarks"],
                blink=arrays["blink"],
                audio=arrays["audio"],
                filled=float(arrays["filled"]),
            )

    def summary(self, clip: RawClip) -> ClipSummary:
        """Reads a summary of an aligned clip, without its frames and sound.

        Args:
          clip: The raw clip.

        Returns:
          The summary.
        """
        with self.path(clip, "npz").open("rb") as file, np.load(file) as arrays:
            members = arrays.zip.infolist()  # With the check sums of their contents.
            sums = [(m.CRC, m.file_size) for m in members if m.filename in _CONTENT]
            size = sum(m.file_size for m in members)
            fingerprint = duplicates.Fingerprint(arrays["words"], arrays["picture"])
            filled = float(arrays["filled"])
            return ClipSummary(len(arrays["sizes"]), size, tuple(sums), fingerprint, filled)

    def save_reason(self, clip: RawClip, reason: str) -> None:
        """Writes why a clip is quarantined.

        Args:
          clip: The raw clip.
          reason: A part of a sentence, e.g. "no sound".
        """
        files.write_atomically(self.path(clip, "bad"), reason.encode())

    def _stem(self, clip: RawClip) -> str:
        config = self.config
        key = (
            f"{config.name} {align_clip.VERSION}.{_VERSION} {config.max_seconds} {config.max_filled} "
            f"{clip.stamp} {clip.frame_count} {clip.start} {clip.end}"
        )
        return f"{clip.id}.{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    def _file_names(self, clips: Sequence[RawClip]) -> set[str]:
        """Returns all files in the folders of these clips; lists each folder once."""
        folders = [self.root / speaker for speaker in {clip.speaker for clip in clips}]
        return {file.name for folder in folders if folder.exists() for file in folder.iterdir()}
