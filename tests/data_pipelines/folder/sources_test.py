import pathlib

import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.folder import naming, sources, subtitles, table
from data_pipelines.folder.sources import Cut


def tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"video")
    return root


def found(root, level=1):
    return {
        v.path.relative_to(root.resolve()).as_posix(): v.speaker
        for v in sources.find_videos(root, level)
    }


def test_a_speaker_is_a_folder_and_hidden_files_are_none(tmp_path):
    names = ["anna/a.mp4", "anna/2019/b.MOV", "bob/c.webm", "d.mkv"]
    hidden = ["anna/._a.mp4", ".git/x.mp4", "anna/notes.txt", "bob/c.srt"]
    root = tree(tmp_path / "videos", *names, *hidden)
    speakers = dict(zip(names, ["anna", "anna", "bob", "videos"], strict=True))
    assert found(root) == speakers
    assert found(root, 2) == speakers | {"anna/2019/b.MOV": naming.speaker_name("2019")}
    assert len(set(found(root, 0).values())) == 4


def test_links_are_followed_once_and_not_for_ever(tmp_path):
    elsewhere = tree(tmp_path / "elsewhere", "x.mp4")
    root = tree(tmp_path / "videos", "b/real.mp4")
    (root / "a").mkdir()
    (root / "a" / "round").symlink_to(root)
    (root / "a" / "same.mp4").symlink_to(root / "b" / "real.mp4")
    (root / "a" / "away").symlink_to(elsewhere)
    (root / "a" / "other").symlink_to(root / "b")
    (root / "a" / "broken.mp4").symlink_to(root / "nothing.mp4")
    (root / "c").symlink_to(elsewhere)
    videos = sources.find_videos(root, 1)
    assert sorted(v.path.resolve().name for v in videos) == ["real.mp4", "x.mp4"]


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(UserError, match="There is no folder .*nowhere; --manual_dir"):
        sources.find_videos(tmp_path / "nowhere", 1)
    with pytest.raises(UserError, match="There is no video in .*anna/holiday.mp4"):
        sources.find_videos(tmp_path, 1)


def test_names_are_safe_unique_and_their_own_affair():
    same = [
        "a/b.mp4",
        "a/B.mp4",
        "a/b.mov",
        "a_b.mp4",
        "a/b c.mp4",
        "a/b-c.mp4",
        "A/b.mp4",
        "b.mp4",
    ]
    deep = ["a/b/c.mp4", "a/b_c.mp4", "a_b/c.mp4", "a/b.c.mp4", "a/é.mp4", "a/e\u0301.mp4"]
    odd = ["a/李雷.mp4", "a/\udcff.mp4", f"a/{'x' * 240}.mp4", f"a/{'x' * 241}.mp4", "con/con.mp4"]
    paths = [pathlib.PurePosixPath(p) for p in same + deep + odd]
    names = [naming.video_name(p) for p in paths]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert set(name).isdisjoint('/\\:*?"<>| .\udcff') and len(name.encode()) < 200
    assert (
        names[0] == "a_b"
        and naming.video_name(pathlib.PurePosixPath("s1/take_2.mp4")) == "s1_take_2"
    )
    speakers = ["anna", "Anna", "ANNA", "an na", "an-na", "..", "a/b", "é", "李雷", "雷李", ""]
    names = [naming.speaker_name(name) for name in speakers]
    assert len(set(names)) == len(names) and names[0] == "anna"
    assert all(set(name).isdisjoint("/\\. ") for name in names)


def rows(tmp_path, text):
    root = tree(tmp_path / "videos", "a.mp4", "b/c d.mp4")
    path = tmp_path / "list.csv"
    path.write_text(text, "utf-8")
    return table.read_table(path, root)


def test_a_csv_says_who_is_where(tmp_path):
    first, second = rows(
        tmp_path,
        "\ufeffFile, Speaker,start,end,transcript\n"
        "b/c d.mp4,Zoë,4.5,,second\n\n"
        'b/c d.mp4,Zoë,,4.5,"first, really"\n'
        "a.mp4,anna,,,all of it\n",
    )
    assert (first.speaker, first.cuts, first.transcript) == ("anna", (), "all of it")
    assert second.speaker == naming.speaker_name("Zoë") and second.name == naming.video_name(
        pathlib.PurePosixPath("b/c d.mp4")
    )
    assert second.cuts == (Cut(0, 4.5, "first, really"), Cut(4.5, None, "second"))


def test_a_csv_finds_files_beside_itself(tmp_path):
    tree(tmp_path / "lists", "a.mp4")
    (tmp_path / "lists" / "l.csv").write_text("file,speaker\na.mp4,anna\n")
    (tmp_path / "videos").mkdir()
    (video,) = table.read_table(tmp_path / "lists" / "l.csv", tmp_path / "videos")
    assert video.path == (tmp_path / "lists" / "a.mp4").resolve()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'file' in its first line, which has nothing"),
        ("file;speaker\na.mp4;x\n", "no column 'file' .* file;speaker; name them"),
        ("file,who\na.mp4,x\n", "no column 'speaker'"),
        ("file,speaker,text\na.mp4,x,\n", "has an unknown column 'text'"),
        ("file,speaker,file\na.mp4,x,y\n", "the column 'file' twice"),
        ("file,speaker\n", "lists no file"),
        ("file,speaker\na.mp4,x\nz.mp4,x\n", "line 3: there is no file z.mp4 in"),
        ("file,speaker\na.mp4,\n", "line 2: the speaker is empty"),
        ("file,speaker\na.mp4,x,1\n", "line 2: more fields than columns"),
        ("file,speaker,start\na.mp4,x,soon\n", "line 2: the start 'soon' is not a number"),
        ("file,speaker,start,end\na.mp4,x,2,1\n", "line 2: start=2, end=1: the start"),
        ("file,speaker,start,end\na.mp4,x,-2,1\n", "line 2: start=-2, end=1: the start"),
        ("file,speaker,start,end\na.mp4,x,nan,1\n", "line 2: start=nan, end=1: the start"),
        ("file,speaker\na.mp4,x\n./a.mp4,x\n", "line 3: a.mp4 is also in line 2"),
        ("file,speaker,end\na.mp4,x,\na.mp4,x,1\n", "line 3: a.mp4 is also in line 2"),
        (
            "file,speaker,end\na.mp4,x,1\na.mp4,y,2\n",
            "line 3: .* speaker 'y' here and 'x' in line 2",
        ),
        ("file,speaker,end,split\na.mp4,x,1,val\na.mp4,x,2,test\n", "line 3: .* split 'test' here"),
        ("file,speaker,split\na.mp4,x,dev\n", "line 2: the split 'dev' must be one of train, val"),
        ('file,speaker\n"a.mp4\x00,x\n', "list.csv"),
    ],
)
def test_errors_in_a_csv_name_the_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        rows(tmp_path, text)


def test_a_csv_is_utf_8_and_there(tmp_path):
    (tmp_path / "l.csv").write_bytes("file,speaker\na.mp4,Zoë\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8 text"):
        table.read_table(tmp_path / "l.csv", tmp_path)
    assert table.locate("l.csv", tmp_path) == tmp_path / "l.csv"
    with pytest.raises(UserError, match="csv=m.csv: there is no such file, here or in"):
        table.locate("m.csv", tmp_path)


def test_words_beside_a_video(tmp_path):
    video = tree(tmp_path, "a.mp4") / "a.mp4"
    assert subtitles.transcript_beside(video, 0, None) == ""
    (tmp_path / "a.txt").write_text("\ufeffall that\nis said ", "utf-8")
    assert subtitles.transcript_beside(video, 0, None) == "all that is said"
    assert subtitles.transcript_beside(video, 0, 3.0) == ""
    (tmp_path / "a.srt").write_text(
        "1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>one</i>\r\n[music] two\r\n\r\n"
        "2\r\n01:00:02,900 --> 01:00:04,100\r\nthree\r\n"
    )
    assert subtitles.transcript_beside(video, 0, 3.0) == "one two"
    assert (
        subtitles.transcript_beside(video, 3602, 3603.5) == ""
        and subtitles.transcript_beside(video, 3603, None) == "three"
    )
    cues = subtitles.parse("WEBVTT\n\nintro\n00:01.5 --> 00:02.000 align:left\nhi <b>there</b>\n")
    assert [(cue.text, cue.start, cue.end) for cue in cues] == [("hi there", 1.5, 2.0)]
