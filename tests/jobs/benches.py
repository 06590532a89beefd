"""Records of a benchmark with figures chosen by a test."""

from blendin_local.jobs.bench.record import Bench, Figure, MethodFigures, ModelFigures, RowFigures, Sizes


def fixed(*trials):
    return Figure(tuple(map(float, trials)))


def a_bench(*, decode=None, rows=None, blendin=60.0, threads=4, cores_left=4.0, spread=0.01):
    def speed(value):
        return fixed(value * (1 - spread), value, value * (1 + spread))

    model = ModelFigures(
        "m.gguf",
        speed(400),
        {n: speed(v) for n, v in (decode or {1: 40, 2: 70, 4: 100}).items()},
        {1: fixed(1, 1, 1)},
        fixed(0.3, 0.3, 0.3),
    )

    def method(value):
        half = fixed(0.5, 0.5, 0.5)
        return MethodFigures(speed(value), half, half, half, half, half, half)

    return Bench(
        pair="demo",
        machine={"cores": threads, "affinity": threads, "threads": threads, "system": "Linux"},
        versions={},
        sizes=Sizes(),
        models={"base": model, "guide": model},
        methods={"base": method(100.0), "blendin": method(blendin)},
        rows={n: RowFigures(speed(50 * f), speed(f)) for n, f in (rows or {1: 1.0, 4: 1.8}).items()},
        load_s=fixed(1.0),
        memory={},
        cores_left=cores_left,
        seconds=1.0,
    )
