"""Every benchmark, one after another: `make bench`. Ratios, measured side by side."""

from benchmarks import generation, runs, startup, time_to_loss, training

for benchmark in (startup, training, time_to_loss, generation, runs):
    benchmark.main([])
