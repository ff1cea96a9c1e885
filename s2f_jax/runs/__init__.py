"""A run's folder: checkpoints, logs, signals, and what may be resumed."""
