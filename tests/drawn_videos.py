"""Videos drawn by code, with faces that a stand-in for the landmark model finds in the picture.

A face is a bright disc with a dark spot for its chin, on a grey ground that lights up for 40 ms at
each of some instants; the sound has a click at each.
"""

import fractions
import pathlib

import av
import cv2
import numpy as np

from data_pipelines import contract
from data_pipelines.aligning import align_clip
from data_pipelines.faces import alignment, landmarks
from data_pipelines.media.images import decode_jpeg

FORM = contract.CorpusConfig(height=64, width=48, audio_rate=16000, fps=25)
SIZE = (96, 72)  # Height and width of a picture.
DISC = (36.0, 48.0, 24.0)  # Centre (x, y) and radius of the face in it, pixels.
GROUND, LIT, SKIN = 60, 110, 220

# Of a disc of radius 1, positions in an aligned image, whose half height is the radius.
_LANDMARKS = np.array([(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 68)]) * 0.9
_LANDMARKS[list(alignment.STABLE)] = (alignment.CANONICAL + 0.5 - (48, 64)) / 64


def picture(lit=False, discs=((*DISC, 0),), size=SIZE):
    """uint8 [H, W, 3]; discs (x, y, radius, turn in degrees, and the brightness)."""
    image = np.full((*size, 3), LIT if lit else GROUND, np.uint8)
    for x, y, radius, turn, *bright in discs:
        down = np.array([-np.sin(np.radians(turn)), np.cos(np.radians(turn))])
        skin = bright[0] if bright else SKIN
        _disc(image, (x, y), radius, skin)
        _disc(image, (x, y) + 0.55 * radius * down, 0.25 * radius, 10)
    return image


def _disc(image, centre, radius, level):
    centre = [round(16 * float(v)) for v in centre]  # In 16ths of a pixel.
    cv2.circle(image, centre, round(16 * radius), (level,) * 3, -1, cv2.LINE_AA, shift=4)


class Discs:
    """Finds the discs in an image, as landmarks.FaceFinder finds faces; blink is their size."""

    def __init__(self, max_faces=4, any_tilt=False):
        self.max_faces = max_faces
        self.any_tilt = any_tilt

    def __call__(self, image):
        bright = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) > 160
        contours, _ = cv2.findContours(bright.astype(np.uint8), cv2.RETR_EXTERNAL, 1)
        found = []
        for contour in contours:
            (x, y), radius = cv2.minEnclosingCircle(contour)
            if radius < 6:
                continue
            rows, columns = np.indices(bright.shape)
            inside = np.hypot(columns - x, rows - y) < 0.85 * radius
            dark = inside & (image.mean(axis=2) < 100)
            if not dark.any():
                continue
            down = np.array([columns[dark].mean() - x, rows[dark].mean() - y])
            down /= np.linalg.norm(down)
            # Like the model, it does not find faces that are rotated far.
            if self.any_tilt or down[1] >= 0.5:
                found.append(self.face(down, radius, (x, y)))
        return sorted(found, key=lambda face: -face.blink)[: self.max_faces]

    @staticmethod
    def face(down, radius, center):
        """The face of a disc whose chin lies in the direction `down`."""
        turned = _LANDMARKS @ np.array([[down[1], -down[0]], [down[0], down[1]]])
        points = (turned * radius + center).astype(np.float32)
        return landmarks.DetectedFace(points, radius / 100)

    def close(self):
        pass


def clicks(instants, seconds, rate, level=0.01):
    """Faint noise with a click at each instant, float64 [S]."""
    sound = level * np.random.default_rng(0).uniform(-1, 1, round(seconds * rate))
    for instant in instants:
        at = round(instant * rate)
        sound[at : at + max(2, rate // 1000)] = 0.9
    return sound


def write(
    path,
    *,
    fps=25,
    times=None,
    seconds=1.0,
    instants=(0.4,),
    draw=picture,
    codec="libx264",
    pix_fmt="yuv420p",
    sound="aac",
    sound_seconds=None,
    sound_rate=16000,
    sound_format="fltp",
    layout="mono",
    sound_start=0.0,
    edit=lambda video: None,
    turn=0,
    container=None,
):
    """Writes a video; `draw` is given whether the ground is lit, or that and the frame's time."""
    path = pathlib.Path(path)
    rate = fractions.Fraction(fps).limit_denominator(1001)
    if times is None:
        times = [float(k / rate) for k in range(round(seconds * rate))]
    with av.open(str(path), "w", format=container) as file:
        video = file.add_stream(codec, rate=rate)
        first = draw(False)
        video.height, video.width = first.shape[:2]
        video.pix_fmt = pix_fmt
        video.codec_context.time_base = fractions.Fraction(1, 30000)
        if codec in ("mpeg1video", "mpeg2video"):
            video.codec_context.time_base = 1 / rate
        edit(video)
        if turn:
            video.set_display_rotation(turn)  # To be shown turned so far, counter-clockwise.
        track = None
        if sound is not None:
            track = file.add_stream(sound, rate=sound_rate, layout=layout)
            length = seconds if sound_seconds is None else sound_seconds
            samples = clicks([i - sound_start for i in instants], length, sound_rate)
            mux_sound(file, track, samples, sound_format, layout, sound_start)
        for time in times:
            lit = any(abs(time - instant) < 0.02 + 1e-6 for instant in instants)
            frame = av.VideoFrame.from_ndarray(draw(lit), format="rgb24")
            frame.time_base = video.codec_context.time_base
            frame.pts = round(time / frame.time_base)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    return path


def mux_sound(file, stream, samples, sound_format="fltp", layout="mono", start=0.0):
    """Encodes mono samples in [-1, 1] into every channel of the stream."""
    kind = sound_format.rstrip("p")
    scale = {"u8": 127, "s16": 32767, "s32": 2**31 - 1, "flt": 1, "dbl": 1}[kind]
    dtype = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}[kind]
    values = samples * scale + (128 if kind == "u8" else 0)
    values = (values if scale == 1 else np.rint(values)).astype(dtype)
    channels = av.AudioLayout(layout).nb_channels
    if sound_format.endswith("p"):
        values = np.repeat(values[None], channels, axis=0)
    else:
        values = np.repeat(values, channels)[None]
    frame = av.AudioFrame.from_ndarray(values, format=sound_format, layout=layout)
    frame.sample_rate = stream.codec_context.sample_rate
    frame.pts = round(start * frame.sample_rate)
    file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def raw_clip(path, **fields):
    return align_clip.RawClip(path.stem, "s1", path, "1", **fields)


def aligned(path, form=FORM, **fields):
    return align_clip.align_clip(raw_clip(path, **fields), form, Discs())


def images(clip):
    """The aligned frames, grey, float64 [T, H, W]."""
    return np.array([decode_jpeg(jpeg).mean(axis=2) for jpeg in clip.jpegs])


def lit_frames(clip):
    """Returns the frames [n] in which the ground, seen in the corners, lights up."""
    corners = images(clip)[:, ::61, ::45]
    return np.flatnonzero(corners.mean(axis=(1, 2)) > (GROUND + LIT) / 2)


def heard(clip):
    """The seconds of the clicks in an aligned clip."""
    loud = np.flatnonzero(np.abs(clip.audio) > 8000)
    return loud[np.diff(loud, prepend=-9999) > 1600] / FORM.audio_rate
