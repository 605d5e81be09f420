"""Every benchmark, one after another: `make bench`. Ratios, measured side by side."""

from benchmarks import (
    decoding,
    forecast,
    generation,
    images,
    plan_accuracy,
    runs,
    serving,
    simulate,
    startup,
    time_to_loss,
    training,
    tui,
    watch,
)

for benchmark in (
    startup,
    watch,
    tui,
    training,
    images,
    decoding,
    time_to_loss,
    generation,
    serving,
    runs,
    plan_accuracy,
    simulate,
    forecast,
):
    benchmark.main([])
