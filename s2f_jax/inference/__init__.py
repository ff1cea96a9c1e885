"""Inference with a trained generator, offline and in pieces."""
