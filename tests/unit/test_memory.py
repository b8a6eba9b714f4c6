import weakref

import pytest
import torch

from dreamvideo.memory import in_chunks, memory_explained


def test_chunks_are_halved_until_they_fit():
    tried = []

    def work(chunk):
        tried.append(len(chunk))
        if len(chunk) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 2 * chunk

    items = torch.arange(7.0)
    assert torch.equal(in_chunks(work, items, 8), 2 * items)
    assert tried == [7, 4, 2, 2, 2, 1]


def test_what_does_not_fit_singly_is_not_tried_for_ever():
    def work(chunk):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        in_chunks(work, torch.zeros(4), 4)


def test_no_memory_is_one_sentence_with_the_remedy():
    sentence = r"^generating dog x jump does not fit into the GPU's memory.*; lower data.num_frames$"
    with (
        pytest.raises(RuntimeError, match=sentence),
        memory_explained("generating dog x jump", "lower data.num_frames"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(KeyError), memory_explained("anything", "nothing"):
        raise KeyError("other errors pass")


def test_who_keeps_the_error_does_not_keep_the_memory():
    held = []

    def fails():
        activations = torch.zeros(4)
        held.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(RuntimeError) as kept, memory_explained("generating", "lower it"):
        fails()
    assert kept.value.__traceback__ is not None and held[0]() is None
