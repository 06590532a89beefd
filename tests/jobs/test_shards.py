"""`--shard auto`: the place of a task in a job array, or a clear refusal."""

from __future__ import annotations

import pytest

from blendin_local.errors import UsageError
from blendin_local.jobs.batch.progress import Shard


def array(number, first, last, count, step=1):
    values = {"ID": number, "MIN": first, "MAX": last, "STEP": step, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items() if value is not None}


@pytest.mark.parametrize(("first", "step", "count"), [(1, 1, 8), (0, 1, 4), (5, 1, 3), (0, 4, 5), (3, 2, 1)])
def test_the_tasks_of_an_array_share_all_rows(first, step, count):
    """Every row belongs to exactly one task, wherever the numbers begin and in whatever steps."""
    last = first + (count - 1) * step
    shards = [Shard.parse("auto", array(n, first, last, count, step)) for n in range(first, last + 1, step)]
    assert shards == [Shard(i + 1, count) for i in range(count)]
    assert all(sum(shard.has(row) for shard in shards) == 1 for row in range(50))


def test_a_step_of_one_may_be_left_out():
    """Older versions set it only where it is another."""
    assert Shard.parse("auto", array(2, 1, 3, 3, None)) == Shard(2, 3)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        array("x", 1, 3, 3),
        array(2, 1, 3, None),
        array(1, 1, 7, 3),
        array(2, 1, 3, 2, 2),
        array(1, 1, 3, 3, 0),
        array(9, 1, 3, 3),
    ],
)
def test_what_is_no_array_without_gaps_is_refused(environment):
    """Rows would be left out or answered twice."""
    with pytest.raises(UsageError):
        Shard.parse("auto", environment)
