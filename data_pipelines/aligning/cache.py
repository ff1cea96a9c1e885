"""Aligned clips on disk, so that an interrupted run goes on."""

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

_CONTENT = ("jpegs.npy", "audio.npy")  # Of a cached clip.


_VERSION = 2  # Of what Cache.save keeps, fingerprint and all; a new one makes every clip again.


@dataclasses.dataclass(frozen=True)
class ClipSummary:
    """What a builder has to know of every aligned clip at once."""

    frames: int
    size: int  # Bytes, about those of the example.
    content: tuple[tuple[int, int], ...]  # CRC-32 and size of pictures and sound.
    fingerprint: duplicates.Fingerprint


class Cache:
    """Aligned clips and reasons of quarantine, a file each, named by all that they depend on."""

    def __init__(self, root: str | os.PathLike, form: CorpusConfig):
        self.root = epath.Path(root)
        self.form = form

    def path(self, raw: RawClip, suffix: str) -> epath.Path:
        """Where the clip's "npz" (aligned) or "bad" (the reason) is or would be."""
        return self.root / raw.speaker / f"{self._stem(raw)}.{suffix}"

    def _stem(self, raw: RawClip) -> str:
        key = (
            f"{self.form.name} {align_clip.VERSION}.{_VERSION} {self.form.max_seconds} {raw.stamp} "
            f"{raw.frame_count} {raw.start} {raw.end}"
        )
        return f"{raw.id}.{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    def _there(self, raws: Sequence[RawClip]) -> set[str]:
        """The names of all files in the folders of these clips, at the cost of a listing each."""
        folders = [self.root / speaker for speaker in {raw.speaker for raw in raws}]
        return {file.name for folder in folders if folder.exists() for file in folder.iterdir()}

    def missing(self, raws: Sequence[RawClip]) -> list[RawClip]:
        """Those of which nothing is known yet."""
        there = self._there(raws)
        stems = {name.removesuffix(".npz").removesuffix(".bad") for name in there}
        return [raw for raw in raws if self._stem(raw) not in stems]

    def reasons(self, raws: Sequence[RawClip]) -> dict[str, str]:
        """{id: why} of those that are quarantined."""
        there = self._there(raws)
        bad = [raw for raw in raws if f"{self._stem(raw)}.bad" in there]
        return {raw.id: self.path(raw, "bad").read_text() for raw in bad}

    def save(self, raw: RawClip, aligned: AlignedClip) -> None:
        """Keeps an aligned clip."""
        buffer = io.BytesIO()
        fingerprint = duplicates.fingerprint(aligned.audio, self.form.audio_rate, aligned.jpegs)
        np.savez(
            buffer,
            jpegs=np.frombuffer(b"".join(aligned.jpegs), np.uint8),
            sizes=[len(jpeg) for jpeg in aligned.jpegs],
            landmarks=aligned.landmarks,
            blink=aligned.blink,
            audio=aligned.audio,
            **dataclasses.asdict(fingerprint),
        )
        files.write_atomically(self.path(raw, "npz"), buffer.getvalue())

    def load(self, raw: RawClip) -> AlignedClip:
        """A clip that was kept."""
        with np.load(io.BytesIO(self.path(raw, "npz").read_bytes())) as kept:
            jpegs, ends = kept["jpegs"].tobytes(), np.cumsum(kept["sizes"])
            return AlignedClip(
                jpegs=[jpegs[a:b] for a, b in itertools.pairwise([0, *ends])],
                landmarks=kept["landmarks"],
                blink=kept["blink"],
                audio=kept["audio"],
            )

    def facts(self, raw: RawClip) -> ClipSummary:
        """What is known of a clip that was kept, without reading its frames and sound."""
        with self.path(raw, "npz").open("rb") as file, np.load(file) as kept:
            members = kept.zip.infolist()  # With the check sums of what they hold.
            sums = [(m.CRC, m.file_size) for m in members if m.filename in _CONTENT]
            size = sum(m.file_size for m in members)
            fingerprint = duplicates.Fingerprint(kept["words"], kept["picture"])
            return ClipSummary(len(kept["sizes"]), size, tuple(sums), fingerprint)

    def save_reason(self, raw: RawClip, reason: str) -> None:
        """Keeps why a clip is quarantined."""
        files.write_atomically(self.path(raw, "bad"), reason.encode())
