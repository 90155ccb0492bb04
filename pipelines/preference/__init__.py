"""Preference studies: people compare two systems' videos of the same case, side by side and blind."""
