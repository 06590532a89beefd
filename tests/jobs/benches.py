"""Records of a benchmark with measurements chosen by a test."""

from blendin_local.jobs.bench.report import (
    BenchReport,
    DraftMeasurements,
    Measurement,
    MethodMeasurements,
    ModelMeasurements,
    ParallelMeasurements,
    PredictedSpeed,
    Workload,
)


def fixed(*trials):
    return Measurement(tuple(map(float, trials)))


def some_drafts(gain=1.0, guide_cost=0.5, tenth=1.3, came_true=0.73):
    def predicted(cost, drafts):
        return PredictedSpeed(fixed(cost), fixed(0.7), fixed(drafts), fixed(3))

    return DraftMeasurements(
        off=fixed(60, 60, 60),
        auto=fixed(60 * gain, 60 * gain, 60 * gain),
        gain=fixed(gain, gain, gain),
        drafted=fixed(0.4, 0.4, 0.4),
        accepted=fixed(0.3, 0.3, 0.3),
        came_true=fixed(came_true, came_true, came_true),
        predicted={"this_guide": predicted(guide_cost, 0.8), "a_tenth": predicted(0.1, tenth)},
    )


def a_bench(
    *, decode=None, rows=None, blendin=60.0, threads=4, cores_left=4.0, spread=0.01, drafts=None, two=1.8
):
    def speed(value):
        return fixed(value * (1 - spread), value, value * (1 + spread))

    model = ModelMeasurements(
        "m.gguf",
        speed(400),
        {n: speed(v) for n, v in (decode or {1: 40, 2: 70, 4: 100}).items()},
        {1: fixed(1, 1, 1)},
        fixed(0.3, 0.3, 0.3),
        {1: fixed(1, 1, 1), 2: fixed(two, two, two)} if two else {},
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
        drafts=drafts,
    )
