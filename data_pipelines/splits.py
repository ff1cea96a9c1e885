"""The speakers of each split; no speaker is in two, so that every test face is new."""

from collections.abc import Collection

# 50/20/30 % of GRID's speakers, as later work on unseen speakers lists them; probably, but not
# certainly, this paper's own split. There is no video of speaker 21.
GRID = {
    "train": ("s1 s3 s5 s6 s7 s8 s10 s12 s14 s16 s17 s22 s24 s26 s28 s32").split(),
    "val": ("s9 s20 s23 s27 s29 s30 s34").split(),
    "test": ("s2 s4 s11 s13 s15 s18 s19 s25 s31 s33").split(),
}

# TCD-TIMIT's recommended test speakers. All other volunteers train, but for three that the
# recommended training set leaves out.
TCD_TIMIT_TEST = ("08F 09F 15F 18M 25M 28M 33F 34M 36F 41M 44F 45F 49F 54M 55F 56M 58F").split()
TCD_TIMIT_LEFT_OUT = ("27M", "35M", "53M")
# Paper 3: "exclude some of the test speakers and use them as a validation set"; which ones is
# known from the authors' later papers, not from this one.
TCD_TIMIT_VAL = ("34M 36F 44F 45F 49F 54M 58F").split()

# Our own: CREMA-D has no official split, and the authors' is 70/15/15 % of the actors without a
# list. Even in sex and age: ordered by these, every third or fourth actor is held out, for test and
# val in turn.
_CREMA_D_VAL = "1013 1028 1032 1036 1037 1053 1057 1059 1062 1071 1086 1089 1091".split()
_CREMA_D_TEST = "1002 1007 1011 1012 1020 1023 1025 1029 1039 1041 1048 1067 1069 1076".split()
CREMA_D = {
    "train": sorted({str(i) for i in range(1001, 1092)} - {*_CREMA_D_VAL, *_CREMA_D_TEST}),
    "val": _CREMA_D_VAL,
    "test": _CREMA_D_TEST,
}


def tcd_timit(
    speakers: Collection[str],
    *,
    with_left_out: bool = False,
    lipspeakers: bool = False,
    paper_validation: bool = True,
) -> dict[str, list[str]]:
    """Divides TCD-TIMIT's speakers among the splits.

    Args:
      speakers: Names of those that there are.
      with_left_out: Whether 27M, 35M and 53M train, too.
      lipspeakers: Whether the three professional lipspeakers train, too.
      paper_validation: Whether seven of the recommended test speakers are val. Else all 17 are
        test, and val are the three left out, so that train and test are the recommended ones.

    Returns:
      Speakers by split; train are those of `speakers` that are in no other split.

    Raises:
      ValueError: with_left_out without paper_validation, which leaves nobody for val.
    """
    if with_left_out and not paper_validation:
        raise ValueError("with_left_out=True and paper_validation=False leave nobody for val")
    held_out = {
        "val": TCD_TIMIT_VAL if paper_validation else list(TCD_TIMIT_LEFT_OUT),
        "test": [s for s in TCD_TIMIT_TEST if not (paper_validation and s in TCD_TIMIT_VAL)],
    }
    excluded = {*held_out["val"], *held_out["test"], *(() if with_left_out else TCD_TIMIT_LEFT_OUT)}
    train = [s for s in sorted(speakers) if s not in excluded]
    if not lipspeakers:
        train = [s for s in train if not s.startswith("Lipspkr")]
    return {"train": train} | held_out
