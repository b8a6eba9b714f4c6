"""The bottleneck adapters of DreamVideo (Eqs. 2 to 4): inject and eject. The base model tells where they go.

Shapes: B batch, M rows of a stream, L positions in a row, D width of the stream, C' width of the appearance embedding.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from dreamvideo.base_models.contract import Site, VideoDiffusionModel

Placement = Literal["parallel", "serial"]


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
            x: hidden state (M, L, D), M a multiple of B; the rows of one item are neighbours.
            appearance: embeddings (B, C'), or None for no appearance term at all.
            strength: how strongly the appearance counts (B,); required with ``appearance``.

        Returns:
            The change (M, L, D).
        """
        hidden = self.down(x)
        if appearance is not None:
            assert strength is not None and self.condition is not None, (
                "an appearance needs a strength and a projection"
            )
            # The projection is linear: that of the guidance is needed once per item, not once per position.
            guidance = functional.linear(strength[:, None] * self.condition(appearance), self.down.weight)
            hidden = (hidden.unflatten(0, (len(guidance), -1)) + guidance[:, None, None]).flatten(0, 1)
        return self.up(functional.gelu(hidden))


class Adapter(nn.Module):
    """Bottlenecks beside some sublayers of a frozen denoiser. Injected, they act; ejected, they leave nothing behind.

    Args:
        sites: the sublayers.
        bottleneck: hidden width of a bottleneck, as a share of the stream's.
        placement: what a bottleneck reads: the stream before the sublayer (parallel) or after it (serial).
        condition_width: C' of an adapter that appearance guides.
    """

    def __init__(
        self, sites: list[Site], bottleneck: float, placement: Placement, condition_width: int | None = None
    ) -> None:
        super().__init__()
        self.placement = placement
        self.appearance: Tensor | None = None
        self.strength: Tensor | None = None
        self.items = slice(None)  # of the next prediction: VideoDiffusionModel.predict sets them
        self.scale = 1.0
        self.sites = {f"{site.block}.{site.sublayer}".replace(".", "/"): site for site in sites}
        self.bottlenecks = nn.ModuleDict(
            {
                place: Bottleneck(site.width, round(bottleneck * site.width), condition_width)
                for place, site in self.sites.items()
            }
        )
        self._base: VideoDiffusionModel | None = None
        self._handles: list = []

    def guide(self, appearance: Tensor | None, strength: Tensor | None = None) -> None:
        """Set the appearance embeddings (B, C') and their strengths (B,) for the forward passes that follow."""
        if appearance is not None and strength is None:
            strength = appearance.new_ones(len(appearance))
        self.appearance, self.strength = appearance, strength

    def inject(self, base: VideoDiffusionModel) -> Adapter:
        """Let the adapter act in a base model, whose modules and state stay as they are."""
        assert self._base is None, "the adapter is injected already"
        self._base = base
        base.guided.append(self)
        for place, bottleneck in self.bottlenecks.items():
            site = self.sites[place]
            self._hook(base.denoiser.get_submodule(site.block), site, bottleneck)
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
        if self._base is not None:
            self._base.guided.remove(self)
        self._base = None

    def __enter__(self) -> Adapter:
        return self

    def __exit__(self, *_: object) -> None:
        self.eject()

    def _guidance(self) -> tuple[Tensor | None, Tensor | None]:
        if self.appearance is None or self.strength is None:
            return None, None
        return self.appearance[self.items], self.strength[self.items]

    def _hook(self, block: nn.Module, site: Site, bottleneck: nn.Module) -> None:
        """Parallel: x <- sublayer(norm(x)) + x + change(x). Serial: x <- y + change(y) with y = sublayer(norm(x)) + x."""
        stream: list[Tensor] = []

        def before_norm(_module: nn.Module, args: tuple) -> None:
            stream[:] = [args[0]]

        def after_sublayer(_module: nn.Module, _args: tuple, output: Tensor) -> Tensor:
            x = stream.pop()
            read = x if self.placement == "parallel" else x + output
            return output + self.scale * bottleneck(read, *self._guidance())

        self._handles.append(block.get_submodule(site.norm).register_forward_pre_hook(before_norm))
        self._handles.append(block.get_submodule(site.sublayer).register_forward_hook(after_sublayer))
