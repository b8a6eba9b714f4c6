"""DreamVideo: customised video generation with a subject and a motion (arXiv 2312.04433)."""

from dreamvideo.torchvision_operators import declare_when_needed

declare_when_needed()
