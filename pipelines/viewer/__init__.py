"""A dataset in a browser: found by thumbnails, scores and labels, played with its tracks over the picture."""
