"""From shards to training batches: decode, frame the subject, turn tracks into inputs, draw windows by step number."""
