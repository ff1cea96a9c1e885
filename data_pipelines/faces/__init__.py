"""Faces: landmarks, alignment, tracking, pose and quality."""
