"""``qbsf dev``: one daemon for each folder."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from qbsf_pipeline_tests.cli.command import qbsf


def test_a_second_dev_in_the_same_folder_is_refused_and_says_which_folder(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    with FileLock(tmp_path / "locks" / "dev.lock"):
        ran = qbsf("dev", QBSF_HOME=str(tmp_path))
    assert ran.code == 1
    assert f"qbsf dev runs already in QBSF_HOME {tmp_path}: end that one first" in " ".join(ran.err.split())
