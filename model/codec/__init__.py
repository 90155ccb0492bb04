"""Codecs turn pixels into tokens and back; none of them needs downloaded weights."""
