"""The provenance data of a video survives remuxing, and is the same for the same seed."""

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
from av.video.reformatter import VideoReformatter

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
    for role, path in files.items():
        path.write_bytes(role.encode())
    return files


@pytest.fixture
def record(run_folder, inputs):
    return marks.provenance_record(run_folder, 7, inputs)


def encoded(tags, movflags=""):
    """A video of FRAMES with these tags, as bytes."""
    file = io.BytesIO()
    options = {"movflags": movflags} if movflags else {}
    with av.open(file, "w", format="mp4", options=options) as container:
        container.metadata.update(tags)
        stream = container.add_stream("libx264", rate=25)
        stream.height = stream.width = 16
        reformatter = VideoReformatter()
        for pixels in FRAMES:
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            # In one thread: without this, under load, the picture was twice seen to be another one.
            frame = reformatter.reformat(frame, format="yuv420p", threads=1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture
def video(tmp_path, record):
    path = tmp_path / "talk.mp4"
    path.write_bytes(encoded(record.metadata))
    return path


FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"


@pytest.mark.parametrize("movflags", ["", FRAGMENTED, "use_metadata_tags"])
def test_every_kind_of_mp4_holds_the_tags(tmp_path, record, movflags):
    path = tmp_path / "talk.mp4"
    path.write_bytes(encoded(record.metadata, movflags))
    detected = marks.read_provenance(path)
    assert detected.synthetic and detected.facts == record.facts
    assert detected.tags["title"] == "AI-generated video"
    assert detected.tags["comment"].startswith("Synthetic: a face animated by s2f_jax")
    assert detected.tags["description"] == detected.tags["comment"]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_the_tags_survive_remuxing_into_another_container(tmp_path, video, record, suffix):
    copy = tmp_path / f"copy.{suffix}"
    with av.open(str(video)) as source, av.open(str(copy), "w") as target:
        target.metadata.update({k: v for k, v in source.metadata.items() if "brand" not in k})
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    tags = {name.lower(): value for name, value in marks.read_provenance(copy).tags.items()}
    if suffix == "mov":  # QuickTime has boxes for fewer tags.
        assert tags["comment"] == record.metadata["comment"]
    else:
        assert json.loads(tags["synopsis"]) == record.facts


def test_the_record_has_checksums_and_no_file_names(record, run_folder, inputs):
    facts = record.facts
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
    assert "Jane" not in json.dumps(record.metadata)


def test_images_hold_the_record_in_xmp(record):
    escaped = dataclasses.replace(record, model={"run": "a<b>&\"c'"}, composite=True)
    (description,) = ElementTree.fromstring(escaped.xmp).iter(f"{RDF}Description")
    assert description.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType") == (
        "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    )
    assert (
        json.loads(description.findtext("{http://purl.org/dc/elements/1.1/}source"))
        == escaped.facts
    )
    (text,) = description.iter(f"{RDF}li")
    assert text.text.startswith("Synthetic: ")


def test_a_face_in_a_photograph_is_a_composite(run_folder, inputs):
    pasted = marks.provenance_record(run_folder, 0, inputs, composite=True)
    assert pasted.facts["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert pasted.metadata["keywords"].endswith(", compositeWithTrainedAlgorithmicMedia")


def test_any_path_of_a_checkpoint_gives_the_same_record(run_folder, inputs, record):
    assert marks.provenance_record(run_folder / "checkpoints" / "3", 7, inputs) == record


def test_a_bundle_is_identified_by_its_checkpoint_and_its_own_weights(
    bundle_folder, inputs, record
):
    weights = hashlib.sha256((bundle_folder / "model.safetensors").read_bytes()).hexdigest()
    own = {"weights": "float32", "weights_sha256": weights}
    from_bundle = marks.provenance_record(bundle_folder, 7, inputs)
    assert from_bundle == dataclasses.replace(record, model=dict(record.model) | own)


def test_the_weights_checksum_depends_on_the_generator_alone(run_folder, tmp_path, config):
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
    first, again = (
        encoded(marks.provenance_record(run_folder, 7, inputs).metadata) for _ in range(2)
    )
    assert first == again
    other = marks.provenance_record(run_folder, 8, inputs)
    assert encoded(other.metadata) != first
    assert (
        dataclasses.replace(other, seed=7).metadata
        == marks.provenance_record(run_folder, 7, inputs).metadata
    )


def test_the_sidecar_describes_the_video_beside_it(video, record, tmp_path):
    before = set(tmp_path.iterdir())
    record.write_sidecar(video, 5, 25.0)
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
    assert contents == {k: v for k, v in record.facts.items() if k != "inputs"}


def test_a_sidecar_is_written_before_its_video_appears(video, record, tmp_path):
    part = video.rename(tmp_path / ".talk.part")
    record.write_sidecar(part, 5, 25.0, str(video))
    assert not (tmp_path / ".talk.part.json").exists()
    part.rename(video)
    detected = marks.read_provenance(video)
    assert (
        detected.unchanged and detected.sidecar and detected.sidecar["video"]["file"] == "talk.mp4"
    )


def test_a_record_is_reused_for_videos_of_other_inputs(record, run_folder, inputs):
    other = marks.provenance_record(run_folder, 3, {}).for_video(record.seed, **inputs)
    assert other == record


def test_a_changed_video_differs_from_its_sidecar(video, record):
    assert marks.read_provenance(video).unchanged is None
    record.write_sidecar(video, 5, 25.0)
    assert marks.read_provenance(video).unchanged is True
    video.write_bytes(encoded({"comment": "mine"}))
    detected = marks.read_provenance(video)
    assert detected.unchanged is False and detected.facts is None and detected.synthetic


def test_another_program_s_video_has_no_provenance(tmp_path):
    writer.write_video(tmp_path / "a.mp4", FRAMES, 25)
    detected = marks.read_provenance(tmp_path / "a.mp4")
    assert (
        not detected.synthetic and detected.facts is detected.sidecar is detected.manifest is None
    )
    (tmp_path / "b.mp4").write_bytes(encoded({"synopsis": "Two people talk [about] {things}."}))
    assert marks.read_provenance(tmp_path / "b.mp4").facts is None


def test_invalid_bytes_in_tags_are_replaced(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(encoded({"comment": "a cafe"}).replace(b"a cafe", b"a caf\xe9"))
    assert marks.read_provenance(path).tags["comment"] == "a caf\ufffd"
    assert len(decode.decode_clip(path).frames) == len(FRAMES)


def test_the_badge_is_drawn_on_copies(record):
    assert (record.add_badge(FRAMES) != FRAMES).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("input", "no input file .*missing.wav; check the path"),
        ("checkpoint", "no checkpoint at .*nowhere: give"),
        ("config", "bare/config.json cannot be read .*: give"),
        ("sums", "checkpoints/3 has no checksums .*: it is damaged"),
        ("video", "no input file .*no.mp4; check the path"),
        ("read", "text.mp4 cannot be read .*: give a file that plays"),
        ("sidecar", "talk.mp4.json is damaged: not a JSON object; remove it"),
    ],
)
def test_unusable_files_are_refused(wrong, message, record, run_folder, inputs, tmp_path, video):
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    (tmp_path / "talk.mp4.json").write_text("[1, 2")
    for name in ("bare", "run"):
        broken = tmp_path / name / "checkpoints" / "3" / "sums"
        broken.mkdir(parents=True)
        (broken / "metadata").write_text("[]")
    (tmp_path / "run" / "config.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    calls = {
        "input": lambda: marks.provenance_record(
            run_folder, 0, {"audio": tmp_path / "missing.wav"}
        ),
        "checkpoint": lambda: marks.provenance_record(tmp_path / "nowhere", 0, inputs),
        "config": lambda: marks.provenance_record(
            tmp_path / "bare" / "checkpoints" / "3", 0, inputs
        ),
        "sums": lambda: marks.provenance_record(tmp_path / "run" / "checkpoints" / "3", 0, inputs),
        "video": lambda: record.write_sidecar(tmp_path / "no.mp4", 5, 25.0),
        "read": lambda: marks.read_provenance(tmp_path / "text.mp4"),
        "sidecar": lambda: marks.read_provenance(video),
    }
    with pytest.raises(UserError, match=message) as raised:
        calls[wrong]()
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.rglob("*")) == before
