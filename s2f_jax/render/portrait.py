"""A portrait, the face found in it, and warnings where a model may not animate it well."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from data_pipelines.media import images

if TYPE_CHECKING:
    from s2f_jax.inference.animator import Animator


class Portrait(NamedTuple):
    """A picture and its largest face.

    Attributes:
      name: What warnings call it: the file's name.
      image: uint8 [H, W, 3].
      landmarks: float32 [68, 2] of the largest face, pixels; None where the picture is a crop.
      face_count: Faces in the picture.
    """

    name: str
    image: np.ndarray
    landmarks: np.ndarray | None
    face_count: int

    def crop(self, animator: "Animator") -> tuple[np.ndarray, np.ndarray | None]:
        """Crops the face for a model.

        Args:
          animator: The model.

        Returns:
          The still, uint8 [h, w, 3] of the model's size, and the similarity transform [2, 3] from
          the picture to it; None where the picture is the crop.

        Raises:
          UserError: The picture is a crop of another size.
        """
        if self.landmarks is None:
            return animator.prepare_still(self.image, aligned=True), None
        from data_pipelines.faces import alignment

        transform = animator.crop_transform(self.landmarks)
        return alignment.align(self.image, transform, *animator.size), transform

    def warnings(self, animator: "Animator") -> list[str]:
        """Judges whether a model can be expected to animate the face.

        Args:
          animator: The model.

        Returns:
          A sentence per problem, such as a face that is small or turned away.
        """
        if self.landmarks is None:
            return []
        from data_pipelines.faces import portrait_quality

        transform = animator.crop_transform(self.landmarks)
        warnings = portrait_quality.portrait_warnings(
            self.image, self.landmarks, *animator.size, transform
        )
        if self.face_count > 1:
            several = f"it shows {self.face_count} faces: the largest is taken, or give one alone"
            warnings.insert(0, several)
        return [f"{self.name}: {warning}" for warning in warnings]


def load_portrait(path: str, aligned: bool) -> Portrait:
    """Reads a picture and finds its largest face.

    Args:
      path: The picture.
      aligned: Whether it is a crop; no face is searched then.

    Returns:
      The portrait.

    Raises:
      UserError: The picture cannot be read, or has no face.
    """
    image = images.read_image(path)
    if aligned:
        return Portrait(path, image, None, 1)
    from data_pipelines.faces.landmarks import find_largest_face  # Imports MediaPipe: 1 s.

    return Portrait(path, image, *find_largest_face(image))
