"""Records of a benchmark with measurements chosen by a test."""

from blendin_local.jobs.bench.report import (
    BenchReport,
    Measurement,
    MethodMeasurements,
    ModelMeasurements,
    ParallelMeasurements,
    Workload,
)


def fixed(*trials):
    return Measurement(tuple(map(float, trials)))


def a_bench(*, decode=None, rows=None, blendin=60.0, threads=4, cores_left=4.0, spread=0.01):
    def speed(value):
        return fixed(value * (1 - spread), value, value * (1 + spread))

    model = ModelMeasurements(
        "m.gguf",
        speed(400),
        {n: speed(v) for n, v in (decode or {1: 40, 2: 70, 4: 100}).items()},
        {1: fixed(1, 1, 1)},
        fixed(0.3, 0.3, 0.3),
    )

    def method(value):
        half = fixed(0.5, 0.5, 0.5)
        return MethodMeasurements(speed(value), half, half, half, half, half, half)

    return BenchReport(
        pair="demo",
        machine={"cores": threads, "affinity": threads, "threads": threads, "system": "Linux"},
        versions={},
        workload=Workload(),
        models={"base": model, "guide": model},
        methods={"base": method(100.0), "blendin": method(blendin)},
        rows={
            n: ParallelMeasurements(speed(50 * f), speed(f)) for n, f in (rows or {1: 1.0, 4: 1.8}).items()
        },
        load_s=fixed(1.0),
        memory={},
        cores_left=cores_left,
        seconds=1.0,
    )
