"""What a video says about itself has to outlive the ways that videos go."""

import dataclasses
import datetime
import hashlib
import io
import json
from xml.etree import ElementTree

import av
import jax
import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.media import decode, writer
from s2f_jax.provenance import marks
from s2f_jax.runs.checkpoint import weights_sum
from tests.tiny_generator import tiny_run, tiny_state

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
FRAMES = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)


@pytest.fixture
def inputs(tmp_path):
    files = {"image": tmp_path / "Jane Doe.png", "audio": tmp_path / "speech.wav"}
    for what, path in files.items():
        path.write_bytes(what.encode())
    return files


@pytest.fixture
def mark(run_folder, inputs):
    return marks.mark(run_folder, 7, inputs)


def encoded(tags, movflags=""):
    """A video of FRAMES that holds tags, bytes."""
    file = io.BytesIO()
    options = {"movflags": movflags} if movflags else {}
    with av.open(file, "w", format="mp4", options=options) as container:
        container.metadata.update(tags)
        stream = container.add_stream("libx264", rate=25)
        stream.height = stream.width = 16
        for pixels in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture
def video(tmp_path, mark):
    path = tmp_path / "talk.mp4"
    path.write_bytes(encoded(mark.metadata))
    return path


FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"


@pytest.mark.parametrize("movflags", ["", FRAGMENTED, "use_metadata_tags"])
def test_the_tags_of_every_kind_of_mp4_say_it_all(tmp_path, mark, movflags):
    path = tmp_path / "talk.mp4"
    path.write_bytes(encoded(mark.metadata, movflags))
    said = marks.read_marks(path)
    assert said.synthetic and said.facts == mark.facts
    assert said.tags["title"] == "AI-generated video"
    assert said.tags["comment"].startswith("Synthetic: a face animated by s2f_jax")
    assert said.tags["description"] == said.tags["comment"]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_the_marks_outlive_a_copy_into_another_container(tmp_path, video, mark, suffix):
    copy = tmp_path / f"copy.{suffix}"
    with av.open(str(video)) as source, av.open(str(copy), "w") as target:
        target.metadata.update({k: v for k, v in source.metadata.items() if "brand" not in k})
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    tags = {name.lower(): value for name, value in marks.read_marks(copy).tags.items()}
    if suffix == "mov":  # QuickTime has a place for fewer.
        assert tags["comment"] == mark.metadata["comment"]
    else:
        assert json.loads(tags["synopsis"]) == mark.facts


def test_what_made_the_video_is_told_by_sums_and_without_names(mark, run_folder, inputs):
    facts = mark.facts
    assert facts["synthetic"] is True and facts["seed"] == 7
    assert facts["digitalSourceType"] == (
        "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    )
    assert facts["inputs"]["image"] == {"sha256": hashlib.sha256(b"image").hexdigest()}
    config = (run_folder / "config.json").read_bytes()
    assert facts["model"] == {
        "run": "tiny",
        "config_sha256": hashlib.sha256(config).hexdigest(),
        "step": 3,
        "sum": weights_sum(run_folder, 3, "generator"),
    }
    assert "Jane" not in json.dumps(mark.metadata)


def test_pictures_say_it_in_xmp(mark):
    odd = dataclasses.replace(mark, model={"run": "a<b>&\"c'"}, composite=True)
    (about,) = ElementTree.fromstring(odd.xmp).iter(f"{RDF}Description")
    assert about.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType") == (
        "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    )
    assert json.loads(about.findtext("{http://purl.org/dc/elements/1.1/}source")) == odd.facts
    (told,) = about.iter(f"{RDF}li")
    assert told.text.startswith("Synthetic: ")


def test_a_face_in_a_photograph_is_a_composite(run_folder, inputs):
    pasted = marks.mark(run_folder, 0, inputs, composite=True)
    assert pasted.facts["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert pasted.metadata["keywords"].endswith(", compositeWithTrainedAlgorithmicMedia")


def test_a_checkpoint_is_named_by_any_of_its_paths(run_folder, inputs, mark):
    assert marks.mark(run_folder / "checkpoints" / "3", 7, inputs) == mark


def test_a_bundle_is_its_checkpoint_and_its_own_weights(bundle_folder, inputs, mark):
    weights = hashlib.sha256((bundle_folder / "model.safetensors").read_bytes()).hexdigest()
    own = {"weights": "float32", "weights_sha256": weights}
    of_bundle = marks.mark(bundle_folder, 7, inputs)
    assert of_bundle == dataclasses.replace(mark, model=dict(mark.model) | own)


def test_the_weights_sum_is_that_of_the_weights(run_folder, tmp_path, config):
    state = tiny_state(config)
    other = jax.tree.map(lambda leaf: leaf, state)
    params = dict(state.params)
    params["frame_discriminator"] = {"kernel": jax.numpy.ones(3)}
    more = dataclasses.replace(state, params=params, step=state.step + 1)
    leaves, tree = jax.tree.flatten(other.params)
    leaves[0] = leaves[0].at[0].add(1e-6)
    changed = dataclasses.replace(other, params=jax.tree.unflatten(tree, leaves))
    sums = {}
    for name, saved in (("same", state), ("more", more), ("changed", changed)):
        tiny_run(tmp_path / name, config, saved)
        sums[name] = weights_sum(tmp_path / name, int(saved.step), "generator")
    assert sums["same"] == sums["more"] == weights_sum(run_folder, 3, "generator")
    assert sums["changed"] != sums["same"]


def test_the_same_seed_gives_the_same_bytes(run_folder, inputs):
    first, again = (encoded(marks.mark(run_folder, 7, inputs).metadata) for _ in range(2))
    assert first == again
    other = marks.mark(run_folder, 8, inputs)
    assert encoded(other.metadata) != first
    assert dataclasses.replace(other, seed=7).metadata == marks.mark(run_folder, 7, inputs).metadata


def test_the_sidecar_tells_of_the_video_beside_it(video, mark, tmp_path):
    before = set(tmp_path.iterdir())
    mark.sidecar(video, 5, 25.0)
    path = tmp_path / "talk.mp4.json"
    assert set(tmp_path.iterdir()) - before == {path}
    contents = json.loads(path.read_text())
    assert contents.pop("video") == {
        "file": "talk.mp4",
        "sha256": hashlib.sha256(video.read_bytes()).hexdigest(),
        "frames": 5,
        "fps": 25.0,
    }
    date = datetime.datetime.fromisoformat(contents.pop("date"))
    assert date.utcoffset() == datetime.timedelta(0)
    assert abs(date.timestamp() - video.stat().st_mtime) < 60
    assert contents.pop("inputs")["image"]["file"] == "Jane Doe.png"
    assert contents == {k: v for k, v in mark.facts.items() if k != "inputs"}


def test_a_sidecar_is_written_before_its_video_appears(video, mark, tmp_path):
    part = video.rename(tmp_path / ".talk.part")
    mark.sidecar(part, 5, 25.0, str(video))
    assert not (tmp_path / ".talk.part.json").exists()
    part.rename(video)
    said = marks.read_marks(video)
    assert said.unchanged and said.sidecar and said.sidecar["video"]["file"] == "talk.mp4"


def test_a_mark_is_taken_over_to_videos_of_other_inputs(mark, run_folder, inputs):
    other = marks.mark(run_folder, 3, {}).video(mark.seed, **inputs)
    assert other == mark


def test_a_video_that_was_changed_is_told_from_its_sidecar(video, mark):
    assert marks.read_marks(video).unchanged is None
    mark.sidecar(video, 5, 25.0)
    assert marks.read_marks(video).unchanged is True
    video.write_bytes(encoded({"comment": "mine"}))
    said = marks.read_marks(video)
    assert said.unchanged is False and said.facts is None and said.synthetic


def test_a_video_of_anybody_says_nothing(tmp_path):
    writer.write_video(tmp_path / "a.mp4", FRAMES, 25)
    said = marks.read_marks(tmp_path / "a.mp4")
    assert not said.synthetic and said.facts is said.sidecar is said.manifest is None
    (tmp_path / "b.mp4").write_bytes(encoded({"synopsis": "Two people talk [about] {things}."}))
    assert marks.read_marks(tmp_path / "b.mp4").facts is None


def test_tags_in_another_encoding_are_read_as_far_as_they_go(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(encoded({"comment": "a cafe"}).replace(b"a cafe", b"a caf\xe9"))
    assert marks.read_marks(path).tags["comment"] == "a caf\ufffd"
    assert len(decode.decode_clip(path).frames) == len(FRAMES)


def test_the_badge_is_drawn_on_copies(mark):
    assert (mark.badge(FRAMES) != FRAMES).any()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("input", "no input file .*missing.wav; check the path"),
        ("checkpoint", "no checkpoint at .*nowhere: give"),
        ("config", "bare/config.json cannot be read .*: give"),
        ("sums", "checkpoints/3 has no checksums .*: it is damaged"),
        ("video", "no input file .*no.mp4; check the path"),
        ("read", "text.mp4 cannot be read .*: give a file that plays"),
        ("sidecar", "talk.mp4.json is damaged: it is no JSON object; remove it"),
    ],
)
def test_what_is_wrong_is_told(wrong, said, mark, run_folder, inputs, tmp_path, video):
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    (tmp_path / "talk.mp4.json").write_text("[1, 2")
    for name in ("bare", "run"):
        broken = tmp_path / name / "checkpoints" / "3" / "sums"
        broken.mkdir(parents=True)
        (broken / "metadata").write_text("[]")
    (tmp_path / "run" / "config.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    calls = {
        "input": lambda: marks.mark(run_folder, 0, {"audio": tmp_path / "missing.wav"}),
        "checkpoint": lambda: marks.mark(tmp_path / "nowhere", 0, inputs),
        "config": lambda: marks.mark(tmp_path / "bare" / "checkpoints" / "3", 0, inputs),
        "sums": lambda: marks.mark(tmp_path / "run" / "checkpoints" / "3", 0, inputs),
        "video": lambda: mark.sidecar(tmp_path / "no.mp4", 5, 25.0),
        "read": lambda: marks.read_marks(tmp_path / "text.mp4"),
        "sidecar": lambda: marks.read_marks(video),
    }
    with pytest.raises(UserError, match=said) as told:
        calls[wrong]()
    assert "\n" not in str(told.value)
    assert sorted(tmp_path.rglob("*")) == before
