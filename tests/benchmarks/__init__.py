"""Measurements, each by itself: `uv run python -m tests.benchmarks.<name>`. They print ratios,
taken side by side in one run.
"""
