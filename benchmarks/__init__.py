"""Side-by-side measurements, `nightlift bench`: ratios from one run, never bare times. Nothing here is a test."""

from benchmarks._codec_floor import Measurement, measure, night_scene, parse_size, run, to_markdown

__all__ = ["Measurement", "measure", "night_scene", "parse_size", "run", "to_markdown"]
