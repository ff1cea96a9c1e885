"""Sound files for tests: whole and honest WAVs. Those that lie are made where they are read."""

import io
import struct
import wave

import numpy as np


def write(file, parts, rate=16000, width=2, channels=1):
    """Integer PCM of so many bytes a sample, into a file that is open for bytes.

    parts: arrays, one after another; floats are in [-1, 1], whole numbers are written as they are,
    and channels take turns.
    """
    with wave.open(file, "wb") as sound:
        sound.setparams((channels, width, rate, 0, "NONE", ""))
        for samples in parts:
            steps = samples
            if not np.issubdtype(samples.dtype, np.integer):
                steps = np.rint(samples * (2 ** (8 * width - 1) - 1))
            if width == 1:  # Unsigned, as WAV has it.
                steps = steps + 128
            words = steps.astype("<i4").view(np.uint8).reshape(-1, 4)
            sound.writeframes(words[:, :width].tobytes())


def wav_bytes(samples, rate=16000, width=2, channels=1):
    buffer = io.BytesIO()
    write(buffer, [samples], rate, width, channels)
    return buffer.getvalue()


def wav(path, samples, rate=16000, width=2, channels=1):
    path.write_bytes(wav_bytes(samples, rate, width, channels))
    return path


def float_wav(path, samples, rate=16000):
    """Of float32, one channel; the length of the whole is left open, as by who writes into a pipe."""
    form = struct.pack("<IHHIIHH", 16, 3, 1, rate, 4 * rate, 4, 32)
    data = samples.astype("<f4").tobytes()
    size = struct.pack("<I", len(data))
    path.write_bytes(b"RIFF\xff\xff\xff\xffWAVEfmt " + form + b"data" + size + data)
    return path
