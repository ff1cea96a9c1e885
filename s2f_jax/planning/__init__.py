"""What a training costs on chips that are not here: compiled for them, and counted."""
