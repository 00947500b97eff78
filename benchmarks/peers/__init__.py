"""Other servers with the same network and codec, each in an environment of its own: `python -m benchmarks.peers`."""
