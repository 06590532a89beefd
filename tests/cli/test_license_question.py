"""Before a download is asked about, the user sees whose terms the file has."""

import io

from blendin_local.cli.common import session as module
from blendin_local.cli.common.downloads import download_bars
from blendin_local.models.entries import ModelEntry, PackagePart, PackageSource
from blendin_local.models.references import Resolved
from blendin_local.views.theme import make_console


def test_the_licence_stands_before_the_question_and_only_there(monkeypatch):
    """Name and notice of the licence, then the question; the download does not repeat them."""
    source = PackageSource("m.gguf", (PackagePart("p", "1", "m"),))
    entry = ModelEntry("toy", (source,), license="Toy Terms", notice="Toys bind.", size=5_000_000)
    item = Resolved("toy", None, entry, source, "blendin pull toy")
    err = make_console(io.StringIO())
    monkeypatch.setattr(module, "can_ask", lambda _: True)
    monkeypatch.setattr(module, "ask", lambda question, err: err.print(question) or True)

    to_user = module.interaction(err)
    assert to_user.confirm_download([item])
    with to_user.downloads() as start:
        start(item)
    text = err.file.getvalue()

    assert text.index("toy: Toy Terms. Toys bind.") < text.index("Download now?")
    assert text.count("Toy Terms") == 1

    with download_bars(err) as bars:  # without a question the download shows it
        bars.start(item)
    assert err.file.getvalue().count("Toy Terms") == 2
