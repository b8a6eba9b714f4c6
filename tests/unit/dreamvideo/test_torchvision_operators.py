"""Each in a process of its own, since what has been imported cannot be taken back."""

import subprocess
import sys

from dreamvideo.torchvision_operators import declare_when_needed


def output_of(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_libraries_that_need_torchvision_import_after_dreamvideo():
    imports = "import dreamvideo, open_clip, timm, diffusers.models.unets.unet_3d_condition, torchvision"
    assert output_of(f"{imports}; print(torchvision.transforms.InterpolationMode.BICUBIC.value)") == "bicubic"


def test_torch_before_dreamvideo_is_no_obstacle():
    assert output_of("import torch, dreamvideo, torchvision.ops; print('imported')") == "imported"


def test_importing_dreamvideo_looks_for_neither_library():
    assert output_of("import sys, dreamvideo; print(*{'torch', 'torchvision'} & set(sys.modules))") == ""


def test_the_finder_is_registered_once():
    before = list(sys.meta_path)
    declare_when_needed()
    assert sys.meta_path == before
