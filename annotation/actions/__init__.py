"""What the subject does, as labelled intervals of clip time, read off the tracks. vocabulary.py lists the labels."""
