from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline.state.database import State
from qbsf_pipeline_tests.pipeline import clear_environment


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clear_environment(monkeypatch)
    monkeypatch.setenv("QBSF_HOME", str(tmp_path / "home"))


@pytest.fixture
def rules() -> Rules:
    return load_rules()


@pytest.fixture
def rules_with(tmp_path: Path):
    """The packaged rules with TOML laid over them."""

    def build(text: str) -> Rules:
        (tmp_path / "rules.toml").write_text(text, encoding="utf-8")
        return load_rules(tmp_path / "rules.toml")

    return build


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as opened:
        yield opened
