"""Draws person_curve.svg: how good a face speaks by the minutes of speech that it was trained on.

python docs/figures/person_curve.py [RUNS of launch/person_curve.sh]    # without: from person_curve.json
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

FOLDER = pathlib.Path(__file__).parent
NUMBERS = FOLDER / "person_curve.json"
PANELS = {
    "psnr_mouth": "PSNR of the mouth box, dB",
    "mouth_correlation": "correlation with the real mouth",
}


def take(runs: list[pathlib.Path]) -> None:
    """Writes person_curve.json: of each metric the mean and the interval of every run, and the frozen still's.

    Args:
      runs: Folders of runs that differ in data.train_minutes.
    """
    points = []
    for run in runs:
        config = json.loads((run / "config.json").read_text())
        rows = json.loads((run / "evaluation" / "test" / "report.json").read_text())["rows"]
        point = {
            "minutes": config["data"]["train_minutes"],
            "clips": rows["model"]["psnr"]["clips"],
        }
        for metric in PANELS:
            point[metric] = [rows["model"][metric][key] for key in ("mean", "low", "high")]
        point["frozen"] = rows["frozen_still"]["psnr_mouth"]["mean"]
        points.append(point)
    points.sort(key=lambda point: point["minutes"])
    NUMBERS.write_text(json.dumps(points, indent=1) + "\n")


def draw() -> None:
    """Draws person_curve.svg from person_curve.json."""
    points = json.loads(NUMBERS.read_text())
    plt.rcParams.update({"svg.hashsalt": "person_curve", "font.size": 9, "svg.fonttype": "none"})
    figure, axes = plt.subplots(1, len(PANELS), figsize=(7.2, 2.6), layout="constrained")
    minutes = [point["minutes"] for point in points]
    for axis, (metric, title) in zip(axes, PANELS.items(), strict=True):
        mean, low, high = ([point[metric][i] for point in points] for i in range(3))
        axis.plot(minutes, mean, "o-", color="#2f6fb3")
        axis.fill_between(minutes, low, high, color="#2f6fb3", alpha=0.2, linewidth=0)
        if metric == "psnr_mouth":
            axis.axhline(points[0]["frozen"], color="#8a8f98", linestyle="--")
            axis.annotate(
                "frozen still", (minutes[-1], points[0]["frozen"]), ha="right", va="bottom"
            )
        axis.set(title=title, xlabel="minutes of speech", xscale="log")
        axis.set_xticks(minutes, [f"{count:g}" for count in minutes])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(FOLDER / "person_curve.svg", metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    if sys.argv[1:]:
        take([pathlib.Path(run) for run in sys.argv[1:]])
    draw()
