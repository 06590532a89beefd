"""Which language a text is in, for the IFEval instructions that ask for one.

Here: `detect`, a seeded call of langdetect (Apache-2.0), the detector of the published checker.
Not here: the instructions (`instructions`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory
from langdetect.lang_detect_exception import LangDetectException


@cache
def detect(text: str) -> str | None:
    """The ISO 639-1 code of a text's language, or None if it cannot be detected (digits only, say)."""
    detector = _factory().create()
    detector.append(text)
    try:
        return str(detector.detect())
    except LangDetectException:
        return None


@cache
def _factory() -> DetectorFactory:
    factory = DetectorFactory()
    factory.load_json_profile(
        [path.read_text("utf-8") for path in sorted(Path(PROFILES_DIRECTORY).iterdir())]
    )
    factory.seed = 0  # the detector votes by lot; so it draws the same lots each time
    return factory
