"""A portrait as a person gave it, the face found in it, and whether the model can be expected to
animate it."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from data_pipelines.media import images

if TYPE_CHECKING:
    from s2f_jax.inference.animator import Animator


class Portrait(NamedTuple):
    """A picture and its largest face."""

    name: str  # The file.
    picture: np.ndarray  # uint8 [H, W, 3].
    landmarks: np.ndarray | None  # float32 [68, 2]; None where the picture is a crop.
    faces: int  # So many are in it.

    def still(self, animator: "Animator") -> tuple[np.ndarray, np.ndarray | None]:
        """-> the crop that the model takes, uint8 [h, w, 3], and the similarity [2, 3] from the
        picture to it; none where the picture is that crop.

        Raises UserError where a crop is of another size.
        """
        if self.landmarks is None:
            return animator.still(self.picture), None
        from data_pipelines.faces import alignment

        transform = animator.placement(self.landmarks)
        return alignment.align(self.picture, transform, *animator.size), transform

    def doubts(self, animator: "Animator") -> list[str]:
        """What to know before one waits for the video, a sentence each."""
        if self.landmarks is None:
            return []
        from data_pipelines.faces import portrait_quality

        transform = animator.placement(self.landmarks)
        found = portrait_quality.portrait_warnings(
            self.picture, self.landmarks, *animator.size, transform
        )
        if self.faces > 1:
            found.insert(0, f"it shows {self.faces} faces: the largest is taken, or give one alone")
        return [f"{self.name}: {doubt}" for doubt in found]


def inspect_portrait(image: str, aligned: bool) -> Portrait:
    """aligned: it is a crop, no face is searched.

    Raises UserError where it cannot be read, or shows no face.
    """
    picture = images.read_image(image)
    if aligned:
        return Portrait(image, picture, None, 1)
    from data_pipelines.faces.landmarks import find_largest_face  # MediaPipe takes a second.

    return Portrait(image, picture, *find_largest_face(picture))
