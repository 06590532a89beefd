"""Benchmarks: their data, how answers are scored, and what the scores are worth; needs the extra `eval`."""

from blendin_local.jobs.extras import require_extra

require_extra("eval", "blendin eval and blendin tune --data", "scipy", "langdetect")
