"""The paper's base model, through the door that loads the published weights, at a tiny size."""

from functools import partial

import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D, TemporalConvLayer

from dreamvideo.adapters import Adapter
from dreamvideo.base_models import describe_base_model, load_base_model
from dreamvideo.base_models.contract import RECOMPILATIONS
from dreamvideo.params import BaseModelParams, ComputeParams
from dreamvideo.roles import Role
from dreamvideo.train import training
from tests.support.tiny_modelscope import CPU, WIDTH


def test_the_folder_decides_all_sizes(base, params):
    assert (base.frame_size, base.latent_shape, base.appearance_width) == (16, (4, 8, 8), WIDTH)
    architecture = describe_base_model(params)
    assert all(parameter.is_meta for parameter in architecture.denoiser.parameters()) and not architecture.published
    assert (architecture.text_width, architecture.appearance_width) == (WIDTH, WIDTH)
    assert architecture.denoiser.state_dict().keys() == base.denoiser.state_dict().keys()
    assert not any(
        p.requires_grad for part in (base.denoiser, base.vae, base.text, base.visual) for p in part.parameters()
    )


def test_frames_become_scaled_latents_and_come_back_whatever_their_number(base):
    frames = torch.rand(2, 5, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    latents = base.encode_frames(frames)
    assert latents.shape == (2, 4, 5, 8, 8)
    alone = base.vae.encode(frames[1, 3][None]).latent_dist.mean * 0.18215
    torch.testing.assert_close(latents[1, :, 3], alone[0], rtol=1e-4, atol=1e-5)
    decoded = base.decode_latents(latents)
    assert decoded.shape == frames.shape and decoded.abs().max() <= 1
    torch.testing.assert_close(decoded[0, 4], base.vae.decode(latents[0, :, 4][None] / 0.18215).sample[0].clamp(-1, 1))


def test_text_is_padded_and_the_placeholder_takes_the_learnt_embedding(base):
    embedding = base.word_embedding("q").requires_grad_(True)
    learnt = base.encode_text(["a * is here", "a cat"], placeholder=embedding)
    assert learnt.shape == (2, 77, WIDTH)
    assert torch.equal(learnt, base.encode_text(["a q is here", "a cat"]))
    learnt[0].sum().backward()
    assert embedding.grad.abs().sum() > 0
    assert not base.encode_text(["a *"]).requires_grad


def test_a_class_word_of_several_tokens_starts_from_their_mean(base):
    letters = [
        base.text.get_input_embeddings().weight[base.tokenizer.convert_tokens_to_ids(t)] for t in ("d", "o", "g</w>")
    ]
    torch.testing.assert_close(base.word_embedding("dog"), torch.stack(letters).mean(0))


def test_words_beyond_the_77_tokens_are_told(base):
    assert base.unread_words("a dog on the beach") == []
    assert base.unread_words("abcdefghij " * 7 + "abcde gh") == ["gh"]


def test_appearance_does_not_depend_on_the_size_of_an_even_image(base):
    small, large = torch.full((1, 3, 16, 16), 0.3), torch.full((1, 3, 40, 40), 0.3)
    assert base.encode_appearance(small).shape == (1, WIDTH)
    torch.testing.assert_close(base.encode_appearance(small), base.encode_appearance(large))
    assert not torch.allclose(base.encode_appearance(small), base.encode_appearance(-small))


def test_bfloat16_is_the_same_network_with_less_precision(base, params):
    half = load_base_model(params, ComputeParams(device="cpu", precision="bfloat16"))
    assert {p.dtype for p in half.denoiser.parameters()} == {torch.bfloat16}
    latents, text = torch.randn(2, 4, 3, 8, 8), base.encode_text(["", "a dog"])
    with torch.no_grad():
        exact, found = (model.predict(latents, torch.tensor(500), text) for model in (base, half))
    assert found.dtype == torch.float32
    error = ((found - exact).norm() / exact.norm()).item()
    assert 0 < error < 0.03


def test_every_convolutional_block_drops_out_a_tenth_in_training_and_nothing_in_sampling(base):
    kinds = (ResnetBlock2D, TemporalConvLayer)
    blocks = [module for module in base.denoiser.modules() if isinstance(module, kinds)]
    for block in blocks:
        assert {part.p for part in block.modules() if isinstance(part, torch.nn.Dropout)} == {0.1}
    residual = next(block for block in blocks if isinstance(block, ResnetBlock2D))
    given = torch.randn(2, residual.in_channels, 4, 4), torch.randn(2, residual.time_emb_proj.in_features)
    assert torch.equal(residual(*given), residual(*given))
    with training(base, torch.Generator().manual_seed(0)):
        assert not torch.equal(residual(*given), residual(*given))


@pytest.fixture(scope="module")
def published():
    return describe_base_model(BaseModelParams(name="modelscope", weights="nowhere", offset_noise=0.1))


def test_the_published_architecture_is_counted_without_weights(published):
    assert sum(p.numel() for p in published.denoiser.parameters()) == 1_411_233_860 and published.published
    assert (published.text_width, published.appearance_width) == (1024, 1024)


def test_a_block_may_be_compiled_for_every_shape_of_the_published_network(published):
    shapes = set()
    for block in published.denoiser.modules():
        if isinstance(block, ResnetBlock2D):
            block.register_forward_hook(lambda _, given, made: shapes.add((given[0].shape, made.shape)))
    with torch.device("meta"), torch.no_grad():
        published.denoiser(torch.empty(1, 4, 32, 32, 32), torch.tensor([1]), torch.empty(1, 77, 1024))
    batches = ["images", "a clip", "two clips", "a preview", "a video"]
    assert len(shapes) == 14 and len(shapes) * len(batches) * len(("gradient", "none")) <= RECOMPILATIONS


@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiled_blocks_give_what_the_others_give_in_training_and_sampling(base, params, monkeypatch, checkpointing):
    calls = []

    def counted(graph, _inputs):
        return lambda *inputs: calls.append(graph) or graph(*inputs)

    # What stands for the compiler, which takes minutes, runs the graphs that it would be given.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counted))
    compiled = load_base_model(
        params, CPU.model_copy(update={"compiled": True, "gradient_checkpointing": checkpointing})
    )
    assert compiled.denoiser.state_dict().keys() == base.denoiser.state_dict().keys()
    noisy = torch.randn(1, 4, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    text, found = base.encode_text(["a cat"]), {}
    for one in (base, compiled):
        torch.manual_seed(0)
        adapter = Adapter(one.adapter_sites(Role.MOTION), 0.5, "parallel", one.appearance_width)
        for parameter in adapter.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        adapter.guide(torch.ones(1, one.appearance_width))
        with training(one, torch.Generator().manual_seed(1)), adapter.inject(one):
            one.denoiser.eval()  # no dropout, whose draws a compiler may order differently
            one.predict(noisy, torch.tensor([5]), text).square().mean().backward()
        with torch.inference_mode():
            plain = one.predict(noisy, torch.tensor([5]), text)
        found[one] = plain, [parameter.grad for parameter in adapter.parameters()]
    assert len(calls) > 20
    torch.testing.assert_close(found[compiled], found[base])
    assert all(
        "forward" in vars(module) for module in compiled.denoiser.modules() if isinstance(module, TemporalConvLayer)
    )
