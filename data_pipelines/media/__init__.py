"""Pictures, sound and videos in and out of files."""
