"""The shipped subsets of the published benchmarks, laid out as a folder with the complete ones is.

Here: `DATA`, the folder. Not here: how its files are read (`jobs.scoring.data_files`).
"""

from pathlib import Path

DATA = Path(__file__).parent / "data"
