"""What tests of names share."""

import pytest

from blendin_local.models import registry as module


@pytest.fixture
def no_user_file(tmp_path, monkeypatch):
    """The user's own file must not decide over tests."""
    monkeypatch.setattr(module, "user_file", lambda: tmp_path / "config" / "models.toml")
