"""Which speaker is in which split; no speaker is in two, so that every test face is new."""

# 50/20/30 % of GRID's speakers, as later work on unseen speakers lists them; that it is this
# paper's own split is likely, not certain. Speaker 21 was never filmed.
GRID = {
    "train": ("s1 s3 s5 s6 s7 s8 s10 s12 s14 s16 s17 s22 s24 s26 s28 s32").split(),
    "val": ("s9 s20 s23 s27 s29 s30 s34").split(),
    "test": ("s2 s4 s11 s13 s15 s18 s19 s25 s31 s33").split(),
}
