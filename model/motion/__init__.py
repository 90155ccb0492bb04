"""Encoders of what drives the character: body, face, hands and camera, each with a learned null of its own."""
