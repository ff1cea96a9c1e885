"""A page where a person gives a face and speaks, and the face speaks."""
