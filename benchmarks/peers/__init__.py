"""Comparison with other model servers that run the same network and codec: `python -m benchmarks.peers`."""
