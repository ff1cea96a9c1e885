"""ICC profiles made of their numbers (ICC.1:2001-04), and the sRGB values that they mean."""

import struct

import numpy as np

# Chromaticities of red, green, blue and white, and gamma, by their specifications.
RGB_SPACES = {
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290), 2.2),
    "Adobe RGB": ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), (0.3127, 0.3290), 563 / 256),
    "ProPhoto": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585), 1.8),
}
_SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290))
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def _xyz(x, y):
    return np.array([x / y, 1.0, (1 - x - y) / y])


def to_xyz(red, green, blue, white):
    """[3, 3]: linear RGB to XYZ, adapted to D50 by Bradford's transform."""
    primaries = np.stack([_xyz(*red), _xyz(*green), _xyz(*blue)], axis=1)
    matrix = primaries * np.linalg.solve(primaries, _xyz(*white))
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ _xyz(*white))
    return np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ matrix


def srgb_of_xyz(xyz):
    """[..., 3] of D50 -> levels of sRGB, float."""
    linear = np.clip(xyz @ np.linalg.inv(to_xyz(*_SRGB)).T, 0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return 255 * curve


def rgb_profile(name):
    *corners, gamma = RGB_SPACES[name]
    columns = to_xyz(*corners).T
    tags = {kind: _xyz_tag(column) for kind, column in zip(_COLUMNS, columns, strict=True)}
    tags |= {kind: _curve_tag(gamma) for kind in (b"rTRC", b"gTRC", b"bTRC")}
    return _profile(b"RGB ", b"XYZ ", tags)


def srgb_of_rgb(name, levels):
    *corners, gamma = RGB_SPACES[name]
    return srgb_of_xyz((levels / 255) ** gamma @ to_xyz(*corners).T)


def grey_profile(gamma):
    return _profile(b"GRAY", b"XYZ ", {b"kTRC": _curve_tag(gamma)})


def srgb_of_grey(gamma, levels):
    return srgb_of_xyz((np.asarray(levels) / 255)[..., None] ** gamma * _D50)


def cmyk_profile(lab):
    """`lab` [2, 2, 2, 2, 3]: the colours of no ink and all of it, of cyan, magenta, yellow, black."""
    levels = np.stack([lab[..., 0] * 255 / 100, lab[..., 1] + 128, lab[..., 2] + 128], -1)
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + _fixed(np.eye(3).ravel()) + 4 * ramp
    table += levels.round().astype(np.uint8).tobytes() + 3 * ramp
    return _profile(b"CMYK", b"Lab ", {b"A2B0": table}, kind=b"prtr")


def srgb_of_lab(lab):
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    return srgb_of_xyz(xyz * _D50)


_COLUMNS = (b"rXYZ", b"gXYZ", b"bXYZ")


def _fixed(values):
    return b"".join(struct.pack(">i", round(float(v) * 65536)) for v in values)


def _xyz_tag(values):
    return b"XYZ " + bytes(4) + _fixed(values)


def _curve_tag(gamma):
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _profile(space, connection, tags, kind=b"mntr"):
    text = b"made for a test\0"
    tags = tags | {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz_tag(_D50),
    }
    head, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        offset = 128 + 4 + 12 * len(tags) + len(body)
        head, body = head + name + struct.pack(">II", offset, len(content)), body + content
    date = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    header = bytes(4) + b"\2\x40\0\0" + kind + space + connection + date + b"acsp" + bytes(28)
    header += _fixed(_D50) + bytes(48)
    size = struct.pack(">I", 4 + len(header) + len(head) + len(body))
    return size + bytes(4) + header[4:] + head + body
