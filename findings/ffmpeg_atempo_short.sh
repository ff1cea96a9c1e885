#!/usr/bin/env bash
# PyAV 18.1.0 (libavfilter 11.14): FFmpeg's `atempo` gives nothing at all for a sound shorter than half of its
# window, also at tempo 1, and of any other a length that is off by up to 35 ms; neither is an error.
#
# The window is at least 1/24 s, as a power of 2: 1024 samples at 16 kHz. A sound of 400 samples comes out as 0
# samples. Of longer ones, what the last window lacks or has too much is not made up for, so that sound
# that was stretched for a video no longer fits it.
#
# Seen:
#   tempo 1.0: 400 samples -> 0; 800 samples -> 800
#   tempo 0.8: 400 samples -> 0; 800 samples -> 863, 1000 expected
#   tempo 0.5: 64000 samples -> 127434, 128000 expected: 35.4 ms short
#   tempo 0.8: 64000 samples -> 79819, 80000 expected: 11.3 ms short
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet av==18.1.0 numpy==2.4.6 || exit 2
venv/bin/python - <<'EOF'
import av
import numpy as np

RATE = 16000


def stretched(samples, tempo):
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=RATE, format="s16", layout="mono")
    graph.link_nodes(source, graph.add("atempo", str(tempo)), graph.add("abuffersink")).configure()
    sound = (3000 * np.sin(np.arange(samples) / 5)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts = RATE, 0
    graph.push(frame)
    graph.push(None)
    count = 0
    try:
        while True:
            count += graph.pull().samples
    except av.error.EOFError:
        return count


print(f"PyAV {av.__version__}, libavfilter {av.library_versions['libavfilter']}")
for tempo in (1.0, 0.8):
    short, longer = stretched(400, tempo), stretched(800, tempo)
    expected = "" if tempo == 1 else f", {800 / tempo:.0f} expected"
    print(f"tempo {tempo}: 400 samples -> {short}; 800 samples -> {longer}{expected}")
    assert short == 0 and longer == {1.0: 800, 0.8: 863}[tempo]
for tempo, seen in ((0.5, 127434), (0.8, 79819)):
    count, expected = stretched(64000, tempo), 64000 / tempo
    missing = (expected - count) / RATE * 1000
    print(f"tempo {tempo}: 64000 samples -> {count}, {expected:.0f} expected: {missing:.1f} ms short")
    assert count == seen, count
EOF
