import os
import subprocess

from tests.process import BIN


def test_the_engine_refuses_to_start_beside_strangers(tmp_path):
    (tmp_path / "detectors").mkdir()
    (tmp_path / "detectors/__init__.py").write_text("")
    answer = subprocess.run(
        [str(BIN / "aiops"), "--version"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode != 0
    assert f"package 'detectors' comes from {tmp_path}" in answer.stderr
    assert "install aiops-engine in an environment of its own" in answer.stderr
