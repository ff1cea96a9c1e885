"""Reads the sound of any sound or video file, whole or in pieces."""

import contextlib
import io
import os
from collections.abc import Iterator

import av.error
import numpy as np

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.media import containers, video
from data_pipelines.media.sound import check_sample_rate, resample
from data_pipelines.media.sound_track import SoundLosses, SoundTrack

# Of untrusted data: a playlist would have FFmpeg open whatever file or address it names.
_SELF_CONTAINED = {
    "format_whitelist": "wav,w64,aiff,au,caf,flac,mp3,ogg,aac,ac3,amr,mov,matroska,avi,mpeg,mpegts,flv,asf",
    "protocol_whitelist": "none",
}
_FIRST_PACKETS = 16  # Of pictures, among which the first one shown is; B-frames change the order.
_CURE = "give a sound file that plays, e.g. a WAV."


def read_audio(path: str | os.PathLike, rate: int) -> np.ndarray:
    """Reads the sound of any sound or video file.

    Args:
      path: The file.
      rate: Sampling rate of the result, Hz.

    Returns:
      float32 [S], mono, in [-1, 1].

    Raises:
      UserError: There is no such file, or its sound cannot be decoded.
    """
    with contextlib.closing(SoundFile(path)) as sound:
        return resample(np.concatenate(list(sound.chunks())), sound.rate, rate)


class SoundFile:
    """The sound of any sound or video file, mono, decoded on demand; of a video from its start on.

    Args:
      path: The file.
      data: The file's bytes, if they come from an untrusted source; then `path` is only a name for
        messages, and formats that can refer to other files are refused.

    Attributes:
      rate: Sampling rate in Hz.
      channels: Number of channels in the file.
      codec: Name of the codec.
      seconds: Duration by the header; 0 if it declares none.
      samples_decoded: Number of samples decoded so far.

    Raises:
      UserError: There is no such file, or its sound cannot be decoded.
    """

    def __init__(self, path: str | os.PathLike, data: bytes | None = None):
        self._path, self.samples_decoded = path, 0
        source = files.require_file(path, "audio") if data is None else io.BytesIO(data)
        options = {} if data is None else _SELF_CONTAINED
        with self._decoding_errors(), contextlib.ExitStack() as stack:
            earliest = _first_picture(source, options)
            container = stack.enter_context(containers.open_media(source, options))
            if not container.streams.audio:
                raise UserError(f"The file {path} has no sound; {_CURE}")
            self._track = track = SoundTrack(container, earliest=earliest)
            check_sample_rate(track.rate, f"the {track.rate} Hz of {path}")
            self._source, self._kind = source, container.format.name
            self._open = stack.pop_all()
        self.rate, self.channels, self.codec = track.rate, track.channels, track.codec
        self.seconds = track.seconds

    @property
    def losses(self) -> SoundLosses:
        """What was missing in the sound decoded so far."""
        return self._track.losses

    def warnings(self) -> list[str]:
        """Describes what was missing in the sound decoded so far.

        Returns:
          Sentences with the file's name; none for sound that is whole.
        """
        return [f"{self._path}: {loss}" for loss in self.losses.describe()]

    def chunks(self) -> Iterator[np.ndarray]:
        """Decodes the sound; can be called only once.

        Yields:
          Consecutive samples, float32 [S] in [-1, 1].

        Raises:
          UserError: There is no sound in it, or too little of it can be decoded.
        """
        chunks = iter(self._track)
        while True:
            with self._decoding_errors():
                chunk = next(chunks, None)
            if chunk is None:
                break
            self.samples_decoded += len(chunk)
            yield chunk
        self.losses.broken |= containers.breaks_off(self._source, self._kind)
        if containers.estimates_length(self._source, self._kind):
            self.losses.short = 0.0
        if reason := self.losses.unusable:
            raise UserError(f"The sound of {self._path} is damaged ({reason}); {_CURE}")

    def close(self) -> None:
        """Closes the file."""
        self._open.close()

    @contextlib.contextmanager
    def _decoding_errors(self) -> Iterator[None]:
        try:
            yield
        except av.error.FFmpegError as e:
            reason = containers.failure_reason(e)
            raise UserError(
                f"The sound of {self._path} cannot be decoded ({reason}); {_CURE}"
            ) from e
        except LookupError as e:
            raise UserError(f"The file {self._path} has {e}; {_CURE}") from e


def _first_picture(source: str | os.PathLike | io.BytesIO, options: dict[str, str]) -> float | None:
    """Returns the time of a video's first picture in seconds on its own clock; None without video."""
    with containers.open_media(source, options) as container:
        pictures = video.picture_stream(container)
        if pictures is None or not container.streams.audio:
            return None
        times = []
        with contextlib.suppress(av.error.FFmpegError):  # That is the sound's concern alone.
            for packet in container.demux(pictures):
                # An edit list may discard some at the start.
                if packet.pts is not None and packet.time_base and not packet.is_discard:
                    times.append(float(packet.pts * packet.time_base))
                    if len(times) == _FIRST_PACKETS:
                        break
        return min(times, default=None)
