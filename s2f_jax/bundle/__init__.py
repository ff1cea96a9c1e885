"""An exported model's folder: its format, and what runs it."""
