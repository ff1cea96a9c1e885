"""Draws architecture-light.svg and architecture-dark.svg: the networks, with the paper's sections.

python docs/figures/architecture.py [--png]
"""

import pathlib
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

FOLDER = pathlib.Path(__file__).parent
THEMES = {
    "light": {
        "text": "#1b1f24",
        "muted": "#57606a",
        "line": "#57606a",
        "data": "#eaeef2",
        "generator": "#d6e8ff",
        "discriminator": "#ffe2c8",
        "optional": "#fdf3ea",
        "loss": "#dcf3dc",
    },
    "dark": {
        "text": "#e6edf3",
        "muted": "#9da7b3",
        "line": "#9da7b3",
        "data": "#2d333b",
        "generator": "#143a66",
        "discriminator": "#6b3a10",
        "optional": "#3a2c20",
        "loss": "#1f4a29",
    },
}


class Figure:
    """Boxes and arrows on one canvas, in one theme's colors.

    Args:
      theme: One of THEMES.
    """

    def __init__(self, theme: str):
        self.colors = THEMES[theme]
        self.figure, self.axes = plt.subplots(figsize=(12.4, 6.05))
        self.axes.set_xlim(0, 124)
        self.axes.set_ylim(2.5, 63)
        self.axes.axis("off")
        self.figure.subplots_adjust(0, 0, 1, 1)

    def text(self, x: float, y: float, text: str, size: float = 8.5, **style) -> None:
        """Writes centered text."""
        style = {"ha": "center", "va": "center", "color": self.colors["text"], **style}
        self.axes.text(x, y, text, fontsize=size, **style)

    def box(
        self,
        corner: tuple[float, float],
        size: tuple[float, float],
        kind: str,
        title: str,
        lines: str = "",
        dashed: bool = False,
    ) -> None:
        """Draws a box with a bold title and smaller lines below it."""
        (x, y), (width, height) = corner, size
        self.axes.add_patch(
            FancyBboxPatch(
                corner,
                width,
                height,
                boxstyle="round,pad=0,rounding_size=1",
                facecolor=self.colors[kind],
                edgecolor=self.colors["line"],
                linewidth=1,
                linestyle="--" if dashed else "-",
            )
        )
        rows = lines.count("\n") + 1 if lines else 0
        middle = y + height / 2
        self.text(x + width / 2, middle + 1.05 * rows, title, 9.5, weight="bold")
        if lines:
            self.text(
                x + width / 2, middle - 1.3, lines, 7.8, color=self.colors["text"], linespacing=1.35
            )

    def arrow(self, *points: tuple[float, float], dashed: bool = False) -> None:
        """Draws straight lines from point to point, with an arrow head at the last."""
        for start, end in zip(points, points[1:-1], strict=False):
            self.axes.plot(
                *zip(start, end, strict=True),
                color=self.colors["line"],
                linewidth=1.2,
                linestyle="--" if dashed else "-",
                solid_capstyle="round",
            )
        self.axes.add_patch(
            FancyArrowPatch(
                points[-2],
                points[-1],
                arrowstyle="-|>",
                mutation_scale=10,
                shrinkA=0,
                shrinkB=0,
                linewidth=1.2,
                linestyle="--" if dashed else "-",
                color=self.colors["line"],
            )
        )


def draw_inputs_and_encoders(figure: Figure) -> None:
    """The still and the sound, and what encodes them."""
    muted = figure.colors["muted"]
    figure.text(30.5, 60.5, "Generator (paper 2.1)", 11, weight="bold")
    figure.box((1, 47), (14, 8), "data", "Still", "128 × 96 RGB")
    figure.box((1, 27), (14, 8), "data", "Raw audio", "windows of 0.16 s")
    figure.box((1, 8), (14, 8), "data", "Gaussian noise", "10 per frame")
    figure.box((20, 44.5), (21, 13), "generator", "Identity encoder", "2.1.1\n6-layer CNN")
    figure.box(
        (20, 24.5),
        (21, 13),
        "generator",
        "Context encoder",
        "2.1.2\n1-D CNN per frame,\n2-layer GRU over time",
    )
    figure.box((20, 5.5), (21, 13), "generator", "Noise generator", "2.1.3\n1-layer GRU")
    figure.box((47.5, 22.5), (9, 17), "data", "Latent", "$z_c$: 256\n$z_n$: 10\n$z_{id}$: 50")
    for y in (51, 31, 12):
        figure.arrow((15, y), (20, y))
    figure.arrow((41, 47), (52, 47), (52, 39.5))
    figure.arrow((41, 31), (47.5, 31))
    figure.arrow((41, 12), (52, 12), (52, 22.5))
    figure.text(46.5, 48.2, "$z_{id}$", 9, color=muted)
    figure.text(44.2, 32.4, "$z_c$", 9, color=muted)
    figure.text(46.5, 13.4, "$z_n$", 9, color=muted)


def draw_decoder(figure: Figure) -> None:
    """The decoder, the generated frames, the real ones, and the reconstruction loss."""
    muted = figure.colors["muted"]
    figure.box(
        (60.5, 24.5),
        (17, 13),
        "generator",
        "Frame decoder",
        "2.1.3\ntransposed CNN,\nU-Net skips",
    )
    figure.arrow((56.5, 31), (60.5, 31))
    figure.arrow((41, 54), (69, 54), (69, 37.5))
    figure.text(56.5, 55.4, "skip connections, 4 resolutions", 8, color=muted)
    figure.box((81.5, 26.5), (13, 9), "data", "Generated", "T frames")
    figure.arrow((77.5, 31), (81.5, 31))
    figure.box((81.5, 8), (13, 8), "data", "Real", "T frames")
    figure.box((60.5, 6.5), (17, 11), "loss", "L1 loss", "eq. 2, lower half,\n× 400 in eq. 3")
    figure.arrow((81.5, 12), (77.5, 12))
    figure.arrow((84, 26.5), (84, 21.5), (69, 21.5), (69, 17.5))


def draw_discriminators(figure: Figure) -> None:
    """The three discriminators: each sees real and generated frames."""
    figure.text(111, 60.5, "Discriminators (paper 2.2)", 11, weight="bold")
    x, width = 101, 22
    boxes = (
        (44.5, "discriminator", "Frame", "2.2.1: a frame\nbeside the still", False),
        (24.5, "discriminator", "Sequence", "2.2.2: all frames and\nthe audio, two GRUs", False),
        (5.5, "optional", "Sync", "not in this paper: 5 frames and\n0.2 s of audio; off by default", True),
    )  # fmt: skip
    # One line for generated frames, one for real ones; each turns off into every box.
    for y, kind, title, lines, dashed in boxes:
        figure.box((x, y), (width, 13), kind, f"{title} discriminator", lines, dashed)
        middle = y + 6.5
        if middle != 31:
            figure.arrow((96.5, 31), (96.5, middle + 1.5), (x, middle + 1.5), dashed=dashed)
        figure.arrow((98.5, 12), (98.5, middle - 1.5), (x, middle - 1.5), dashed=dashed)
    figure.arrow((94.5, 31), (101, 31))
    figure.axes.plot(
        (94.5, 98.5), (12, 12), color=figure.colors["line"], linewidth=1.2, solid_capstyle="round"
    )
    figure.text(112, 41, "adversarial loss (eq. 1)", 8, color=figure.colors["muted"])


def draw(theme: str) -> Figure:
    """Draws the whole figure in the colors of a theme."""
    figure = Figure(theme)
    draw_inputs_and_encoders(figure)
    draw_decoder(figure)
    draw_discriminators(figure)
    return figure


def main() -> None:
    """Writes both files beside this one; with --png, a picture of each to look at, too."""
    # The same bytes each time: fixed identifiers, no date.
    plt.rcParams |= {
        "svg.hashsalt": "s2f_jax",
        "svg.fonttype": "none",
        "font.family": ["DejaVu Sans"],
    }
    for theme in THEMES:
        figure = draw(theme).figure
        path = FOLDER / f"architecture-{theme}.svg"
        figure.savefig(path, transparent=True, metadata={"Date": None})
        # Text stays text; where the font is missing, Verdana has the same widths.
        svg = path.read_text().replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
        path.write_text("".join(f"{line.rstrip()}\n" for line in svg.splitlines()))
        if "--png" in sys.argv:
            background = "white" if theme == "light" else "#0d1117"
            figure.savefig(f"/tmp/{path.stem}.png", dpi=110, facecolor=background)
        plt.close(figure)


if __name__ == "__main__":
    main()
