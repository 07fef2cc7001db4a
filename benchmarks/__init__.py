"""Benchmarks: one script per question, run from the repository's root as ``python -m benchmarks.<folder>.<script>``."""
