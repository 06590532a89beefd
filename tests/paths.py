"""Where things lie in the repository: its root, the package, its modules, the vocabularies beside it."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "blendin_local"
SOURCES = sorted(PACKAGE.rglob("*.py"))
VOCABS = Path(os.environ.get("BLENDIN_TEST_VOCABS", ROOT.parent / "shared" / "vocabs"))
