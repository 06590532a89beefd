"""How answers are read and scored without a judge; what tune and the probe share is in `jobs.scoring`."""
