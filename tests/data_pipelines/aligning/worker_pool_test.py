import os
import pathlib

import numpy as np
import pytest

from data_pipelines import contract
from data_pipelines.aligning import align_clip, worker_pool
from data_pipelines.aligning.cache import Cache
from data_pipelines.common.errors import BadClip
from data_pipelines.faces import landmarks
from data_pipelines.media import images

CONFIG = contract.CorpusConfig()


class NoFinder:
    def __init__(self, max_faces):
        pass

    def close(self):
        pass


def raw_clip(name, stamp="1"):
    return align_clip.RawClip(f"s1_{name}", "s1", pathlib.Path(name), stamp)


def aligned_clip(seed=0):
    rng = np.random.default_rng(seed)
    return align_clip.AlignedClip(
        jpegs=[images.encode_jpeg(rng.integers(0, 255, (8, 6, 3), np.uint8)) for _ in range(2)],
        landmarks=rng.normal(size=(2, 68, 2)).astype(np.float32),
        blink=np.array([0.5, np.nan], np.float32),
        audio=rng.integers(-9, 9, 1280).astype(np.int16),
        filled=0.25,
    )


def stand_in(clip):
    """Stands in for aligning a clip in a worker."""
    if clip.id == "s1_deadly":
        os._exit(9)
    return "unfit" if clip.id == "s1_bad" else None


def no_initializer(cache):
    """Stands in for loading the model."""


@pytest.fixture
def work(monkeypatch):
    """Ids of the clips that were aligned; "bad" is unfit, "odd" and "huge" raise other errors."""
    done = []

    def align(clip, config, detect):
        done.append(clip.id)
        if clip.id == "s1_bad":
            raise BadClip("unfit")
        if clip.id == "s1_odd":
            raise ZeroDivisionError("odd")
        if clip.id == "s1_huge":
            raise MemoryError
        return aligned_clip()

    monkeypatch.setattr(align_clip, "align_clip", align)
    monkeypatch.setattr(landmarks, "model_path", lambda: None)
    monkeypatch.setattr(landmarks, "FaceFinder", NoFinder)
    return done


def test_the_cache_loads_what_it_saved(tmp_path):
    cache = Cache(tmp_path, CONFIG)
    cache.save(raw_clip("a"), aligned_clip())
    kept, given = cache.load(raw_clip("a")), aligned_clip()
    assert kept.jpegs == given.jpegs
    assert kept.filled == given.filled == cache.summary(raw_clip("a")).filled == 0.25
    for name in ("landmarks", "blink", "audio"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(given, name))
        assert getattr(kept, name).dtype == getattr(given, name).dtype


def test_the_summary_of_a_clip_describes_what_was_saved(tmp_path):
    cache = Cache(tmp_path, CONFIG)
    for name, seed in (("a", 0), ("again", 0), ("b", 1)):
        cache.save(raw_clip(name), aligned_clip(seed))
    summaries = {name: cache.summary(raw_clip(name)) for name in ("a", "again", "b")}
    given = aligned_clip()
    assert summaries["a"].frames == 2
    bare = sum(map(len, given.jpegs)) + given.landmarks.nbytes + given.audio.nbytes
    assert bare < summaries["a"].size < bare + 3000  # NumPy's headers, and the fingerprint.
    assert list(worker_pool.duplicate_recordings(summaries)) == [("again", "a")]


def test_a_second_run_does_only_what_is_missing_or_changed(tmp_path, work):
    cache = Cache(tmp_path, CONFIG)
    first = [raw_clip(name) for name in ("a", "bad", "b")]
    assert worker_pool.align_all(first, cache, workers=1) == {"s1_bad": "unfit"}
    again = [*first[:2], raw_clip("b", stamp="2"), raw_clip("c")]
    work.clear()
    assert worker_pool.align_all(again, cache, workers=1) == {"s1_bad": "unfit"}
    assert work == ["s1_b", "s1_c"]
    other_config = Cache(tmp_path, contract.CorpusConfig(height=64, width=48))
    assert other_config.missing(again) == again


def test_an_error_in_one_clip_does_not_stop_the_others(tmp_path, work):
    cache = Cache(tmp_path, CONFIG)
    clips = [raw_clip(name) for name in ("odd", "huge", "a")]
    assert worker_pool.align_all(clips, cache, workers=1) == {
        "s1_odd": "ZeroDivisionError: odd",
        "s1_huge": "too little memory to decode it",
    }
    assert cache.missing(clips) == clips[:2]  # Not cached: they are tried again next time.


def test_progress_is_shown_in_plain_lines(tmp_path, work, capsys):
    worker_pool.align_all([raw_clip("a"), raw_clip("bad")], Cache(tmp_path, CONFIG), workers=1)
    assert "aligned 2 of 2 clips, " in capsys.readouterr().err


@pytest.mark.slow
def test_a_clip_that_kills_its_worker_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(landmarks, "FaceFinder", NoFinder)
    monkeypatch.setattr(worker_pool, "_align_in_worker", stand_in)
    monkeypatch.setattr(worker_pool, "_initialize_worker", no_initializer)
    clips = [raw_clip(name) for name in ("a", "deadly", "bad", "b", "c", "d")]
    bad = worker_pool.align_all(clips, Cache(tmp_path, CONFIG), workers=2)
    assert bad == {"s1_bad": "unfit", "s1_deadly": "the worker process died"}
