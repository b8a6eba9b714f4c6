"""Reports of benchmarks: built, compared, published."""
