"""The names of CREMA-D's clips: actor, sentence, emotion and its level."""

import re

from data_pipelines import contract
from data_pipelines.common.errors import BadClip

SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
# Level X is that of one clip of the corpus, 1040_ITH_SAD_X.
_NAME = re.compile(rf"(10\d\d)_({'|'.join(SENTENCES)})_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)")


def parse_name(name: str) -> tuple[str, str]:
    """Decodes a clip's name, e.g. 1001_DFA_ANG_XX.

    Args:
      name: Actor, sentence, emotion and its level.

    Returns:
      Actor and transcript: 1001, "don't forget a jacket".

    Raises:
      BadClip: It is not such a name.
    """
    match = _NAME.fullmatch(name)
    if not match:
        raise BadClip(f"{name} is not the name of a CREMA-D clip")
    return match[1], contract.normalize_text(SENTENCES[match[2]])
