"""How many rows are answered at once follows from what each of them takes."""

from blendin_local.engine.memory import Place
from blendin_local.jobs import preparation
from blendin_local.settings import ModelSettings
from tests.toys import make_toy


def test_rows_at_once_fit_with_all_that_each_adds(tmp_path, monkeypatch):
    """Without flash attention the scores of each row count too, so fewer rows fit into the same memory."""
    path = make_toy(tmp_path / "toy.gguf", "plain")
    monkeypatch.setattr(preparation, "usable_threads", lambda: 8)
    monkeypatch.setattr(preparation, "places", lambda: (Place("RAM", 400 * 2**20),))

    def fitting(flash_attention):
        settings = ModelSettings(flash_attention=flash_attention)
        return preparation.n_parallel_for({"base": (path, settings)}, 100)

    assert fitting("off") < fitting("on") == 32
