"""Reads a clip's transcript from the text or the subtitles beside its video."""

import pathlib
import re

from data_pipelines.contract import TimedText

_TIME = r"(?:(\d+):)?(\d\d?):(\d\d)[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_NOT_SPOKEN = re.compile(r"<[^>]*>|\{\\[^}]*\}|\[[^\]]*\]")  # Markup; [music].


def transcript_beside(video: pathlib.Path, start: float, end: float | None) -> str:
    """Reads what is said between two times of a video from a file of its name.

    A .txt has the words of a whole video, so of none that is cut; a cue of an .srt or a .vtt belongs
    where its middle is.

    Args:
      video: The video file.
      start: Seconds.
      end: Seconds; None: the video's end.

    Returns:
      The words; "" where there is no such file.
    """
    for suffix in (".srt", ".vtt"):
        if (path := video.with_suffix(suffix)).is_file():
            until = float("inf") if end is None else end
            cues = parse(path.read_text("utf-8-sig", errors="replace"))
            inside = [cue.text for cue in cues if start <= (cue.start + cue.end) / 2 < until]
            return " ".join(inside)
    path = video.with_suffix(".txt")
    if not start and end is None and path.is_file():
        return " ".join(path.read_text("utf-8-sig", errors="replace").split())
    return ""


def parse(text: str) -> list[TimedText]:
    """Parses SubRip or WebVTT.

    Args:
      text: The content of the file.

    Returns:
      The cues, without markup and what is in brackets.
    """
    cues = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        lines = block.split("\n")
        for i, line in enumerate(lines):
            if times := _TIMES.match(line):
                start, end = _seconds(times.groups()[:4]), _seconds(times.groups()[4:])
                spoken = " ".join(_NOT_SPOKEN.sub("", " ".join(lines[i + 1 :])).split())
                if spoken and start <= end:
                    cues.append(TimedText(spoken, start, end))
                break
    return cues


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds) + float(f"0.{fraction}")
