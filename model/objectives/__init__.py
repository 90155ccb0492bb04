"""What training minimises; each objective is a value handed to the one loop in model/train/loop.py."""
