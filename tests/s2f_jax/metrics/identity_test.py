"""ACD by hand, and embedders that are told apart by what they make of drawn faces."""

import dataclasses
import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from data_pipelines.common import download
from data_pipelines.common.errors import UserError
from s2f_jax.metrics import embedders, identity
from s2f_jax.metrics.embedders import Embedder, OnnxEmbedder, OnnxInputFormat, SFace
from s2f_jax.metrics.faces_in_videos import FaceTrack
from s2f_jax.metrics.identity import IdentityScorer
from s2f_jax.metrics.scoring import ClipPair

LANDMARKS = np.zeros((2, 68, 2), np.float32)
LANDMARKS[:, 36:42], LANDMARKS[:, 42:48] = (30, 43), (66, 42)
LANDMARKS[:, [30, 48, 54]] = (49, 63), (36, 85), (63, 84)


def _onnx(path, shape):
    """A model whose vector is the picture that it is given."""
    rest = int(np.prod(shape[1:]))
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["data"], ["vector"])],
        "flat",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [shape[0], rest])],
    )
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return str(path)


@pytest.fixture
def sface(tmp_path, monkeypatch):
    """Something that stands where SFace is looked for, with the sum that is asked for."""
    path = tmp_path / "sface.onnx"
    _onnx(path, [1, 3, 112, 112])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(
        embedders, "SFACE", download.ModelFile("sface.onnx", "https://nowhere", digest, "S2F_SFACE")
    )
    monkeypatch.setenv("S2F_SFACE", str(path))
    return path


class Vectors:
    """Knows the vector of every picture by its first red level."""

    name = "vectors"

    def __init__(self, vectors):
        self.vectors, self.pictures = vectors, 0

    def __call__(self, images, points):
        self.pictures += len(images)
        return np.array([self.vectors[image[0, 0, 0]] for image in images], np.float32)


class Tracks:
    """Finds what it is told to in unaligned videos, in turn."""

    problem = ""

    def __init__(self, *found):
        self.found = found

    def __call__(self, videos, cacheable):
        assert len(videos) == len(cacheable) == len(self.found)
        return list(self.found)


def _pair(levels, real=(0,), aligned=True, landmarks=LANDMARKS, size=(128, 96)):
    """A video of flat frames of these levels."""
    sides = [np.tile(np.uint8(side)[:, None, None, None], (1, *size, 3)) for side in (levels, real)]
    audio = np.zeros(0, np.int16)
    return ClipPair("clip", "s1", "", *sides, 25.0, audio, 16000, aligned, landmarks)


def _noise(seed=0, frames=3, size=(128, 96)):
    return np.random.default_rng(seed).integers(0, 256, (frames, *size, 3), np.uint8)


def test_acd_by_hand():
    scorer = IdentityScorer(Vectors([(3, 0), (0, 2), (4, 0)]), Tracks())
    (scores,) = scorer([_pair([0, 1, 2, 1])])
    root = 2**0.5  # Between unit vectors at a right angle; the lengths do not count.
    assert scores.values == pytest.approx({"acd_l2": root / 2, "acd_mse": 0.5, "acd_cos": 0.5})
    assert tuple(scores.values) == scorer.metrics
    assert "vectors" in scorer.conventions["acd"]


def test_a_frozen_still_scores_exactly_0_and_is_embedded_once(sface):
    still = _noise()[:1]
    for embedder in (SFace(), Vectors(np.random.default_rng(0).normal(size=(256, 128)))):
        pair = dataclasses.replace(_pair([0]), video=np.repeat(still, 9, axis=0), real=still)
        assert set(IdentityScorer(embedder, Tracks())([pair])[0].values.values()) == {0.0}
    assert embedder.pictures == 1


def test_equal_frames_count_each_time():
    embedder = Vectors([(1, 0), (0, 1)])
    (scores,) = IdentityScorer(embedder, Tracks())([_pair([1, 0, 1, 1])])
    assert scores.values["acd_mse"] == pytest.approx(3 / 4)
    assert embedder.pictures == 2


def test_a_vector_without_a_direction_is_no_score():
    for vector in ((0, 0), (np.nan, 1), (np.inf, 1)):
        (scores,) = IdentityScorer(Vectors([(1, 0), vector]), Tracks())([_pair([0, 1])])
        assert set(scores.values.values()) == {identity.NO_VECTOR}


def _spotted(five, size=(128, 96)):
    """A black picture with a white spot at the second of five points."""
    image = np.zeros((*size, 3), np.uint8)
    x, y = np.rint(five[1]).astype(int)
    image[y - 1 : y + 2, x - 1 : x + 2] = 255
    return image


@pytest.mark.parametrize("which", ["sface", "onnx", "small", "channels last"])
def test_a_face_is_cropped_by_its_five_points(which, sface, tmp_path):
    size = 56 if which == "small" else 112
    shape = ["N", size, size, 3] if which == "channels last" else ["N", 3, size, size]
    file = _onnx(tmp_path / "flat.onnx", shape)
    embedder = (
        SFace() if which == "sface" else OnnxEmbedder(OnnxInputFormat(file, size, mean=(0, 0, 0)))
    )
    five = identity.five_points(LANDMARKS)[0]
    moved = five @ [[0, 1.2], [-1.2, 0]] + (100, 10)  # Turned, enlarged and elsewhere.
    images = [_spotted(five), _spotted(moved, (200, 150))]
    crops = embedder(images, np.stack([five, moved]))
    axes = (2, size, size, 3) if which == "channels last" else (2, 3, size, size)
    for crop in crops.reshape(axes):
        crop = crop.sum(axis=-1 if which == "channels last" else 0)
        y, x = (np.sum(crop * place) / crop.sum() for place in np.indices(crop.shape))
        np.testing.assert_allclose([x, y], np.array([73.5, 51.5]) * size / 112, atol=1.5)


def test_colours_are_as_the_model_wants_them(sface, tmp_path):
    orange = np.full((128, 96, 3), (200, 100, 50), np.uint8)
    five = identity.five_points(LANDMARKS)[:1]
    file = _onnx(tmp_path / "flat.onnx", ["N", 3, 112, 112])

    def middle(embedder):
        return embedder([orange], five).reshape(3, 112, 112)[:, 60, 56]

    np.testing.assert_allclose(middle(SFace()), [200, 100, 50])
    form = OnnxInputFormat(file, mean=(1, 2, 3), scale=(0.1, 0.2, 0.3))
    np.testing.assert_allclose(middle(OnnxEmbedder(form)), [19.9, 19.6, 14.1], rtol=1e-5)
    form = dataclasses.replace(form, channels="BGR")
    np.testing.assert_allclose(middle(OnnxEmbedder(form)), [4.9, 19.6, 59.1], rtol=1e-5)


@pytest.mark.parametrize("batch", [1, "N", None])
def test_pictures_are_embedded_alike_one_by_one_or_together(batch, tmp_path):
    embedder = OnnxEmbedder(OnnxInputFormat(_onnx(tmp_path / "flat.onnx", [batch, 3, 16, 16]), 16))
    images = [*_noise(frames=27)]
    points = np.repeat(identity.five_points(LANDMARKS)[:1], 27, axis=0)
    together = embedder(images, points)
    assert together.shape == (27, 768)
    np.testing.assert_allclose(together[26], embedder(images[26:], points[26:])[0], rtol=1e-6)


def test_aligned_frames_are_all_cropped_by_the_still_s_landmarks():
    seen = []

    class Looking(Vectors):
        def __call__(self, images, points):
            seen.append(points)
            return super().__call__(images, points)

    pairs = [_pair([0, 1, 2]), _pair([0], landmarks=None, size=(64, 48))]
    pairs.append(_pair([0], landmarks=np.full((1, 68, 2), np.nan), size=(64, 48)))
    IdentityScorer(Looking(np.eye(3)), Tracks())(pairs)
    np.testing.assert_allclose(seen[0], np.repeat(identity.five_points(LANDMARKS)[:1], 3, axis=0))
    np.testing.assert_allclose(
        seen[1], [[[14.95, 21.45], [32.9, 20.85], [24.25, 31.1], [17.8, 42.3], [31.4, 41.9]]]
    )
    np.testing.assert_allclose(seen[2], seen[1])


def test_faces_are_looked_for_in_videos_that_are_not_aligned():
    track = FaceTrack(LANDMARKS, 0)
    pairs = [_pair([0, 1], (0, 2)), *(_pair([0, 1], (0, 2), aligned=False) for _ in range(3))]
    find = Tracks(track, track, "no face", track, track, "too few")
    scores = IdentityScorer(Vectors(np.eye(3)), find)(pairs)
    assert [of.values["acd_l2"] for of in scores] == [2**-0.5, 2**-0.5, "no face", "too few"]


def test_sface_that_is_nowhere_is_told_with_the_cure(monkeypatch, tmp_path):
    monkeypatch.delenv("S2F_FACE_EMBEDDER", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def no_network(*_):
        raise UserError("no network")

    monkeypatch.setattr(download, "download", no_network)
    with pytest.raises(UserError, match="set S2F_FACE_EMBEDDER to its path"):
        Embedder.load()


def test_a_damaged_or_other_embedder_is_told(sface, monkeypatch):
    whole = sface.read_bytes()
    sface.write_bytes(whole[:-7])
    with pytest.raises(UserError, match="damaged or not SFace"):
        SFace()
    digest = hashlib.sha256(whole[:-7]).hexdigest()
    monkeypatch.setattr(embedders, "SFACE", download.ModelFile("", "", digest, "S2F_SFACE"))
    with pytest.raises(UserError, match="cannot load the face embedder"):
        SFace()
    with pytest.raises(UserError, match="cannot be loaded as an ONNX model"):
        OnnxEmbedder(OnnxInputFormat(str(sface)))
    with pytest.raises(UserError, match="--config.embedder.file=none.onnx is not a file"):
        Embedder.load("none.onnx")


@pytest.mark.parametrize(
    "shape, changed, said",
    [
        ([1, 3, 112, 112], {"size": 160}, "not 3 channels of 160x160"),
        ([4, 3, 112, 112], {}, "one or any number at a time"),
        ([1, 1, 112, 112], {}, "not 3 channels"),
        ([1, 128], {}, r"of shape \[1, 128\]"),
        ([1, 3, 112, 112], {"channels": "GRB"}, "channels=GRB: must be RGB or BGR"),
        ([1, 3, 112, 112], {"mean": (127.5,)}, "must be three numbers each"),
    ],
)
def test_an_onnx_file_that_wants_something_else(shape, changed, said, tmp_path):
    form = OnnxInputFormat(_onnx(tmp_path / "flat.onnx", shape))
    with pytest.raises(UserError, match=said):
        Embedder.load(**dataclasses.asdict(dataclasses.replace(form, **changed)))
