"""Videos of given pictures with the tags that cameras write: colours, field order, display matrix."""

import fractions
import struct

import av
import av.filter
import numpy as np

RATE = 25


def write(path, planes, pix_fmt="yuv444p", codec="ffv1", field="", **tags):
    """Writes planes [T, 3, H, W] of Y, U and V as they are; smaller planes take their beginning.

    `tags` are attributes of the codec's context; `field` "tff" or "bff" marks the frames.
    """
    planes = np.asarray(planes)
    height, width = planes.shape[2:]
    with av.open(str(path), "w") as file:
        video = file.add_stream(codec, rate=RATE)
        video.height, video.width, video.pix_fmt = height, width, pix_fmt
        for name, value in tags.items():
            setattr(video.codec_context, name, value)
        graph = av.filter.Graph()
        unit = fractions.Fraction(1, RATE)
        source = graph.add_buffer(
            width=width, height=height, format=av.VideoFormat(pix_fmt), time_base=unit
        )
        marked = graph.add("setfield", field or "prog")
        graph.link_nodes(source, marked, graph.add("buffersink")).configure()
        for number, picture in enumerate(planes):
            frame = av.VideoFrame(width, height, pix_fmt)
            for plane, values in zip(frame.planes, picture, strict=True):
                rows = np.zeros((plane.height, plane.line_size // values.itemsize), values.dtype)
                rows[:, : plane.width] = values[: plane.height, : plane.width]
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = number, unit
            graph.vpush(frame)
            marked_frame = graph.vpull()
            for name in ("colorspace", "color_range"):
                if name in tags:
                    setattr(marked_frame, name, tags[name])
            file.mux(video.encode(marked_frame))
        file.mux(video.encode(None))
    return path


def grey(pictures):
    """uint8 [T, H, W] -> planes without colour."""
    pictures = np.asarray(pictures, np.uint8)
    return np.stack([pictures, *[np.full_like(pictures, 128)] * 2], 1)


def set_matrix(path, matrix):
    """Sets the display matrix (a, b, c, d) of the first track of an mp4, as ISO 14496-12 has it."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # Version 0.
    a, b, c, d = (round(65536 * value) for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
