"""One script per question: `python -m benchmarks.NAME [--quick]` prints one JSON object."""
