import numpy as np

from data_pipelines.faces import landmarks
from s2f_jax.metrics import throughput
from tests.stand_in_faces import Finder


def test_both_rates_are_of_the_same_work(monkeypatch, tmp_path):
    model = tmp_path / "model.task"
    model.write_bytes(b"any")
    monkeypatch.setattr(landmarks, "FaceFinder", Finder)
    monkeypatch.setattr(landmarks, "model_path", lambda: model)
    videos = list(np.random.default_rng(0).integers(0, 255, (2, 20, 64, 48, 3)).astype(np.uint8))
    figures = throughput.landmark_throughput(videos, seconds=0, workers=1)
    whole = figures["metrics.landmarks_frames_per_s"]
    alone = figures["metrics.detector_frames_per_s"]
    assert len(whole) == len(alone) == 3 and (whole > 0).all()
    assert np.median(alone) > np.median(whole)  # A stand-in takes no time; all else does.
