"""The video diffusion transformer: rotary positions, attention block, network."""
