"""A small video diffusion transformer for character animation: data, codec, network, objectives, sampling.

Imports nothing from `curation`, `annotation` or `pipelines`; needs torch, numpy, av, safetensors, tokenizers.
"""
