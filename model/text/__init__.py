"""Frozen text encoders that work offline."""
