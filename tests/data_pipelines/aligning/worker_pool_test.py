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

FORM = contract.CorpusConfig()


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
    )


def stand_in(raw):
    """Stands for the work of one clip in another process."""
    if raw.id == "s1_deadly":
        os._exit(9)
    return "unfit" if raw.id == "s1_bad" else None


def no_start(cache):
    """Stands for loading the model."""


@pytest.fixture
def work(monkeypatch):
    """What was aligned; "bad" is unfit, "odd" and "huge" raise what was not foreseen."""
    done = []

    def align(raw, form, find):
        done.append(raw.id)
        if raw.id == "s1_bad":
            raise BadClip("unfit")
        if raw.id == "s1_odd":
            raise ZeroDivisionError("odd")
        if raw.id == "s1_huge":
            raise MemoryError
        return aligned_clip()

    monkeypatch.setattr(align_clip, "align_clip", align)
    monkeypatch.setattr(landmarks, "model_path", lambda: None)
    monkeypatch.setattr(landmarks, "FaceFinder", NoFinder)
    return done


def test_the_cache_gives_back_what_it_was_given(tmp_path):
    cache = Cache(tmp_path, FORM)
    cache.save(raw_clip("a"), aligned_clip())
    kept, given = cache.load(raw_clip("a")), aligned_clip()
    assert kept.jpegs == given.jpegs
    for name in ("landmarks", "blink", "audio"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(given, name))
        assert getattr(kept, name).dtype == getattr(given, name).dtype


def test_the_facts_of_a_clip_are_those_of_what_was_kept(tmp_path):
    cache = Cache(tmp_path, FORM)
    for name, seed in (("a", 0), ("again", 0), ("b", 1)):
        cache.save(raw_clip(name), aligned_clip(seed))
    facts = {name: cache.summary(raw_clip(name)) for name in ("a", "again", "b")}
    given = aligned_clip()
    assert facts["a"].frames == 2
    bare = sum(map(len, given.jpegs)) + given.landmarks.nbytes + given.audio.nbytes
    assert bare < facts["a"].size < bare + 3000  # NumPy's headers, and the fingerprint.
    assert list(worker_pool.duplicate_recordings(facts)) == [("again", "a")]


def test_a_second_run_does_only_what_is_missing_or_changed(tmp_path, work):
    cache = Cache(tmp_path, FORM)
    first = [raw_clip(name) for name in ("a", "bad", "b")]
    assert worker_pool.align_all(first, cache, workers=1) == {"s1_bad": "unfit"}
    again = [*first[:2], raw_clip("b", stamp="2"), raw_clip("c")]
    work.clear()
    assert worker_pool.align_all(again, cache, workers=1) == {"s1_bad": "unfit"}
    assert work == ["s1_b", "s1_c"]
    other_form = Cache(tmp_path, contract.CorpusConfig(height=64, width=48))
    assert other_form.missing(again) == again


def test_an_error_in_one_clip_does_not_stop_the_others(tmp_path, work):
    cache = Cache(tmp_path, FORM)
    raws = [raw_clip(name) for name in ("odd", "huge", "a")]
    assert worker_pool.align_all(raws, cache, workers=1) == {
        "s1_odd": "ZeroDivisionError: odd",
        "s1_huge": "too little memory to decode it",
    }
    assert cache.missing(raws) == raws[:2]  # It may be our fault: try again next time.


def test_progress_is_told_in_plain_lines(tmp_path, work, capsys):
    worker_pool.align_all([raw_clip("a"), raw_clip("bad")], Cache(tmp_path, FORM), workers=1)
    assert "aligned 2 of 2 clips, " in capsys.readouterr().err


@pytest.mark.slow
def test_a_clip_that_kills_its_process_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(landmarks, "FaceFinder", NoFinder)
    monkeypatch.setattr(worker_pool, "_align_in_worker", stand_in)
    monkeypatch.setattr(worker_pool, "_initialize_worker", no_start)
    raws = [raw_clip(name) for name in ("a", "deadly", "bad", "b", "c", "d")]
    bad = worker_pool.align_all(raws, Cache(tmp_path, FORM), workers=2)
    assert bad == {"s1_bad": "unfit", "s1_deadly": "the worker process died"}
