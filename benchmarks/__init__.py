"""Benchmarks. They compare alternatives in one run and report ratios, since absolute times depend on the machine."""

from benchmarks._codec_floor import Measurement, measure, night_scene, parse_size, run, to_markdown

__all__ = ["Measurement", "measure", "night_scene", "parse_size", "run", "to_markdown"]
