"""Copies of GRID as people have them: any case, depth and naming of folders, packed or not."""

import zipfile

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.grid import sources

ALIGN = "0 12000 sil\n12000 19250 bin\n19250 27250 blue\n27250 30500 at\n30500 36000 f\n"
ALIGN += "36000 43250 two\n43250 55250 now\n55250 74500 sil\n"


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def packed(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def content(clip):
    if not clip.member:
        return clip.path.read_text()
    with zipfile.ZipFile(clip.path) as archive:
        return archive.read(clip.member).decode()


@pytest.mark.parametrize(
    "name",
    [
        "s3/bbaf2n.mpg",
        "s3/BBAF2N.MPG",
        "S3/bbaf2n.Mpg",
        "s03/bbaf2n.mpeg",
        "S3/video/mpg_6000/bbaf2n.mpg",
        "grid/video/s3.mpg_vcd/bbaf2n.mpg",
        "s3_processed/bbaf2n.mpg",
        "speaker 3/bbaf2n.mpg",
        "s1/../s30/s3/bbaf2n.mpg",
    ],
)
def test_a_clip_is_found_by_the_nearest_speaker_s_folder(tmp_path, name):
    root = write(tmp_path / "copy", {"s1/a": "", name: "a clip", "align/S9/BBAF2N.ALIGN": ALIGN})
    (clip,) = sources.find_clips(root, ["s3", "s30"]).clips
    assert (clip.id, clip.speaker, clip.transcript) == ("s3_bbaf2n", "s3", "bin blue at f two now")
    assert clip.path.read_text() == "a clip" and clip.words[0].start == pytest.approx(0.48)


@pytest.mark.parametrize(
    ("archive", "member"),
    [
        ("s3.zip", "s3/bbaf2n.mpg"),
        ("S3.ZIP", "BBAF2N.MPG"),
        ("videos/s3.mpg_6000.part1.zip", "s3/video/mpg_6000/bbaf2n.MPG"),
        ("s3.mpg_vcd.zip", "home/bbaf2n.mpeg"),
    ],
)
def test_a_clip_is_found_in_a_zip(tmp_path, archive, member):
    packed(tmp_path / archive, {member: "a clip", f"__MACOSX/._{member}": "", "s3/notes.txt": ""})
    packed(tmp_path / "Alignments.ZIP", {"s3/BBAF2N.Align": ALIGN})
    (clip,) = sources.find_clips(tmp_path, ["s3"]).clips
    assert (clip.id, clip.path, clip.member) == ("s3_bbaf2n", tmp_path / archive, member)
    assert len(clip.words) == 6


def test_the_speaker_s_own_folder_may_be_given(tmp_path):
    root = write(tmp_path / "S3", {"bbaf2n.mpg": "a clip"})
    contents = sources.find_clips(root, ["s2", "s3"])
    assert [clip.id for clip in contents.clips] == ["s3_bbaf2n"] and contents.absent_speakers == [
        "s2"
    ]


def test_of_two_qualities_it_is_the_larger_and_unpacked_goes_before_packed(tmp_path):
    write(tmp_path, {"s3/mpg_6000/bbaf2n.mpg": "large", "s3/mpg_vcd/bbaf2n.mpg": "vcd"})
    packed(tmp_path / "s3.zip", {"bbaf2n.mpg": "larger still", "swwp2s.mpg": "another"})
    first, second = sources.find_clips(tmp_path, ["s3"]).clips
    assert first.path.read_text() == "large" and second.member == "swwp2s.mpg"


def test_what_is_no_speaker_s_is_left_and_dead_links_are_named(tmp_path):
    names = ("bbaf2n.mpg", "song/bbaf2n.mpg", "s0/bbaf2n.mpg", "s3/._bbaf2n.mpg", "s3/bbaf2n.mp4")
    write(tmp_path, dict.fromkeys(names, "no clip"))
    with pytest.raises(UserError, match="No GRID clips of s3 in"):
        sources.find_clips(tmp_path, ["s3"])
    write(tmp_path, {"S3/swwp2s.MPG": "a clip"})
    (tmp_path / "S3" / "prbx3p.mpg").symlink_to("nowhere")
    contents = sources.find_clips(tmp_path, ["s3"])
    assert [clip.id for clip in contents.clips] == ["s3_swwp2s"]
    assert contents.unusable == {"S3/prbx3p.mpg": "a link to a file that does not exist"}


def test_trees_drawn_at_random_give_the_same_clips(tmp_path):
    """30 of them: each clip where chance puts it, packed or not, in the case that chance likes."""
    names = ("bbaf2n", "swwp2s", "prbx3p", "lgia1a")
    for seed in range(30):
        rng = np.random.default_rng(seed)
        root, expected = tmp_path / str(seed), []
        for number in rng.choice([1, 2, 3, 11, 34], 3, replace=False):
            speaker = rng.choice([f"s{number}", f"S{number}", f"s{number:02d}"])
            inner = rng.choice(["", "video/", "video/mpg_6000/", "VIDEO/mpg_vcd/"])
            files = {}
            for name in rng.choice(names, 2, replace=False):
                written = rng.choice([f"{name}.mpg", f"{name}.MPG", f"{name.upper()}.MPG"])
                files[f"{inner}{written}"] = f"s{number}_{name}"
                expected.append(f"s{number}_{name}")
            above = rng.choice(["", "GRID/", "data/grid corpus/"])
            if rng.random() < 0.5:
                packed(root / f"{above}{speaker}.zip", files)
            else:
                write(root / f"{above}{speaker}", files)
        found = sources.find_clips(root, sources.SPEAKERS).clips
        assert sorted(clip.id for clip in found) == sorted(expected)
        assert all(content(clip) == clip.id for clip in found)
