"""Measurements, each by itself: `uv run python -m tests.benchmarks.<name>`. Ratios, side by side in one run."""
