"""The Python example of the README runs as it is printed, on subjects and motions of the miniature."""

import re
import shutil

from dreamvideo.dataset.clips import read_clip
from tests.integration.conftest import REPOSITORY, write_params


def test_the_python_example_runs(tmp_path, dataset, monkeypatch, capsys):
    shutil.copytree(dataset, tmp_path / "data")
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.S)
    exec(compile(example.replace('"cat"', '"dog"').replace('"wave_right"', '"square"'), "README.md", "exec"), {})
    assert "1 videos" in capsys.readouterr().out
    frames, fps = read_clip(tmp_path / "my_video.mp4")
    assert frames.shape == (8, 3, 64, 64) and fps == 8
