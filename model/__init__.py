"""A small video diffusion transformer for character animation: data, codec, network, objectives, training, sampling.

Imports nothing from `curation`, `annotation` or `pipelines`; needs torch, numpy, av, safetensors and (for text) tokenizers.
"""
