"""The bottleneck adapters of DreamVideo (Eqs. 2 to 4), where they go, inject and eject.

Shapes: B batch, F frames, N tokens, D inner width of a transformer block, C' width of the appearance embedding.
Spatial blocks see (B * F, N, D), temporal ones (B * H * W, F, D).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:  # diffusers takes seconds to import, and planning needs none of it
    from diffusers import UNet3DConditionModel

Placement = Literal["parallel", "serial"]

# The layer norm that precedes each sublayer of diffusers' BasicTransformerBlock.
_NORM_BEFORE = {"attn1": "norm1", "attn2": "norm2", "ff": "norm3"}

_items: ContextVar[slice] = ContextVar("items", default=slice(None))


@contextmanager
def guided_items(items: slice) -> Iterator[None]:
    """Within the block, forward passes are of these items alone, of the B that adapters are guided for."""
    token = _items.set(items)
    try:
        yield
    finally:
        _items.reset(token)


class Bottleneck(nn.Module):
    """The change that an adapter makes: up(gelu(down(x + s * cond(e)))), zero at initialisation (Eqs. 2, 4)."""

    def __init__(self, width: int, hidden: int, condition_width: int | None = None) -> None:
        super().__init__()
        self.down = nn.Linear(width, hidden)
        self.up = nn.Linear(hidden, width)
        self.condition = nn.Linear(condition_width, width) if condition_width else None
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor, appearance: Tensor | None = None, strength: Tensor | None = None) -> Tensor:
        """The change to a residual stream; the skip connection of the equations is the stream itself.

        Args:
            x: hidden state (M, L, D), M a multiple of B.
            appearance: embeddings (B, C'), or None for no appearance term at all.
            strength: how strongly the appearance counts (B,); required with ``appearance``.

        Returns:
            The change (M, L, D).
        """
        hidden = self.down(x)
        if appearance is not None:
            # The projection is linear: that of the guidance is needed once per item, not once per position.
            guidance = functional.linear(strength[:, None] * self.condition(appearance), self.down.weight)
            hidden = (hidden.unflatten(0, (len(guidance), -1)) + guidance[:, None, None]).flatten(0, 1)
        return self.up(functional.gelu(hidden))


class Adapter(nn.Module):
    """Bottlenecks beside some sublayers of a frozen UNet. While injected they act; ejected, nothing is left behind."""

    def __init__(
        self,
        unet: UNet3DConditionModel,
        transformer: type[nn.Module],
        sublayers: tuple[str, ...],
        bottleneck: float,
        placement: Placement,
        condition_width: int | None = None,
    ) -> None:
        super().__init__()
        self.placement = placement
        self.appearance: Tensor | None = None
        self.strength: Tensor | None = None
        self.scale = 1.0
        self._handles: list = []
        self.bottlenecks = nn.ModuleDict()
        for name, module in unet.named_modules():
            if isinstance(module, transformer):
                width = module.transformer_blocks[0].attn1.query_dim
                for sublayer in sublayers:
                    place = f"{name}.transformer_blocks.0.{sublayer}".replace(".", "/")
                    self.bottlenecks[place] = Bottleneck(width, round(bottleneck * width), condition_width)

    def guide(self, appearance: Tensor | None, strength: Tensor | None = None) -> None:
        """Set the appearance embeddings (B, C') and their strengths (B,) for the forward passes that follow."""
        if appearance is not None and strength is None:
            strength = appearance.new_ones(len(appearance))
        self.appearance, self.strength = appearance, strength

    def inject(self, unet: UNet3DConditionModel) -> Adapter:
        """Let the adapter act in a UNet; the UNet's modules and state stay as they are."""
        assert not self._handles, "the adapter is injected already"
        for place, bottleneck in self.bottlenecks.items():
            block, _, sublayer = place.replace("/", ".").rpartition(".")
            self._hook(unet.get_submodule(block), sublayer, bottleneck)
        return self

    def scaled(self, scale: float) -> Adapter:
        """Let the adapter act at this strength: 1 as it was trained."""
        self.scale = scale
        return self

    def eject(self) -> None:
        """Stop acting."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> Adapter:
        return self

    def __exit__(self, *_: object) -> None:
        self.eject()

    def _guidance(self) -> tuple[Tensor | None, Tensor | None]:
        if self.appearance is None:
            return None, None
        return self.appearance[_items.get()], self.strength[_items.get()]

    def _hook(self, block: nn.Module, sublayer: str, bottleneck: Bottleneck) -> None:
        """Parallel: x <- sublayer(norm(x)) + x + change(x). Serial: x <- y + change(y) with y = sublayer(norm(x)) + x."""
        stream: list[Tensor] = []

        def before_norm(_module: nn.Module, args: tuple) -> None:
            stream[:] = [args[0]]

        def after_sublayer(_module: nn.Module, _args: tuple, output: Tensor) -> Tensor:
            x = stream.pop()
            read = x if self.placement == "parallel" else x + output
            return output + self.scale * bottleneck(read, *self._guidance())

        norm = block.get_submodule(_NORM_BEFORE[sublayer])
        self._handles.append(norm.register_forward_pre_hook(before_norm))
        self._handles.append(block.get_submodule(sublayer).register_forward_hook(after_sublayer))


def identity_adapter(unet: UNet3DConditionModel, bottleneck: float, placement: Placement) -> Adapter:
    """The identity adapter: beside the cross-attention of every spatial transformer (Sec. 3.3)."""
    from diffusers import Transformer2DModel

    return Adapter(unet, Transformer2DModel, ("attn2",), bottleneck, placement)


def motion_adapter(
    unet: UNet3DConditionModel, bottleneck: float, placement: Placement, condition_width: int
) -> Adapter:
    """The motion adapter: beside both attentions and the feed-forward of every temporal transformer (Sec. 3.3)."""
    from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel

    sublayers = ("attn1", "attn2", "ff")
    return Adapter(unet, TransformerTemporalModel, sublayers, bottleneck, placement, condition_width)
