"""Small videos of clips with sounds of their own, by methods that differ in the face alone."""

import functools

from tests import drawn_videos

METHODS = {"real": (0, 220), "ours": (2, 205), "base": (-3, 190)}  # Where the face is, how bright.
INSTANTS = {f"s{i}": (0.1 + 0.05 * i, 0.3) for i in range(6)}  # Of the clicks in a clip's sound.


def write(path, method="real", clip="s0", **options):
    """A video of half a second; its codecs are those of other tools where it is an .mpg."""
    shift, bright = METHODS[method]
    draw = functools.partial(
        drawn_videos.picture, discs=((24.0 + shift, 32.0, 16.0, 0, bright),), size=(64, 48)
    )
    if path.suffix == ".mpg":
        options |= {"codec": "mpeg1video", "sound": "mp2", "sound_format": "s16"}
    settled = {"seconds": 0.48, "instants": INSTANTS[clip], "draw": draw} | options
    return drawn_videos.write(path, **settled)


def folder(path, method, clips, suffix=".mp4"):
    path.mkdir(parents=True)
    for clip in clips:
        write(path / f"{clip}{suffix}", method, clip)
    return path
