"""How fast klorpy is, each figure a ratio of two programs measured side by side: `python -m tests.benchmarks [NAME…]`."""
