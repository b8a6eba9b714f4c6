"""The base model as a method: the placeholder reads as the class word, and nothing else changes."""

import torch

from tests.support.method_trials import both, build, output
from tests.support.tiny import QuietModel, TinyModel


def test_the_placeholder_reads_as_the_class_word_and_the_motion_changes_nothing():
    base, method = QuietModel(), build("uncustomized")
    subject, motion = (part.tensors for part in both(method, base))
    plain = output(base, base.encode_text, "a dog jumping")
    for given in ((subject, None), (subject, motion)):
        with method.composed(base, *given, torch.zeros(3, 16, 16)) as encode:
            assert torch.equal(output(base, encode, "a * jumping"), plain)


def test_nothing_is_trained():
    method = build("uncustomized")
    assert method.trainable_parameters(TinyModel.architecture()) == {}
    subject, motion = both(method, QuietModel())
    assert not subject.losses and not motion.losses and not motion.tensors
