"""The training loop, its state on disk, and the two runs built on it: teacher and student."""
