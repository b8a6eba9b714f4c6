"""The original layout of DreamVideo's UNet, written anew from its tensors' names and shapes, to check conversions against.

Shapes: B batch, F frames, C channels, H W size, N tokens, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

HEAD, CONTEXT = 64, 1024


class AuthorsAdapter(nn.Module):
    def __init__(self, width: int, condition: int | None) -> None:
        super().__init__()
        self.down_linear, self.up_linear = nn.Linear(width, width // 2), nn.Linear(width // 2, width)
        if condition:
            self.condition_linear = nn.Linear(condition, width)

    def forward(self, x: Tensor, condition: Tensor | None, strength: float) -> Tensor:
        read = x if condition is None else x + strength * self.condition_linear(condition)
        return x + self.up_linear(functional.gelu(self.down_linear(read)))


class Attention(nn.Module):
    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v = (nn.Linear(n, width, bias=False) for n in (width, context, context))
        self.to_out = nn.Sequential(nn.Linear(width, width), nn.Dropout(0.1))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q, k, v = (
            projected.unflatten(-1, (-1, HEAD)).transpose(1, 2)
            for projected in (self.to_q(x), self.to_k(context), self.to_v(context))
        )
        weights = (q @ k.transpose(-1, -2) / HEAD**0.5).softmax(-1)
        return self.to_out((weights @ v).transpose(1, 2).flatten(2))


class Gated(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 8 * width)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * functional.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(Gated(width), nn.Dropout(0.1), nn.Linear(4 * width, width))


class Block(nn.Module):
    def __init__(self, width: int, context: int, adapters: tuple[str, ...], condition: int | None, serial: bool):
        super().__init__()
        self.attn1, self.attn2, self.ff = Attention(width, width), Attention(width, context), FeedForward(width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.serial = serial
        for name in adapters:
            setattr(self, name, AuthorsAdapter(width, condition))

    def forward(self, x: Tensor, context: Tensor | None, condition: Tensor | None, strength: float) -> Tensor:
        def second(n: Tensor) -> Tensor:
            return self.attn2(n, n if context is None else context)

        sublayers = (
            ("attn_adapter", self.norm1, lambda n: self.attn1(n, n)),
            ("cross_attn_adapter", self.norm2, second),
            ("ff_adapter", self.norm3, self.ff.net),
        )
        for name, norm, sublayer in sublayers:
            adapter, out = getattr(self, name, None), sublayer(norm(x))
            if adapter is None:
                x = out + x
            elif self.serial:
                x = adapter(out + x, condition, strength)
            else:
                x = out + adapter(x, condition, strength)
        return x


class Spatial(nn.Module):
    def __init__(self, channels: int, adapters: tuple[str, ...], serial: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in, self.proj_out = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([Block(channels, CONTEXT, adapters, None, serial)])

    def forward(self, x: Tensor, context: Tensor) -> Tensor:  # (B F, C, H, W)
        hidden = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        hidden = self.proj_out(self.transformer_blocks[0](hidden, context, None, 1))
        return x + hidden.transpose(1, 2).unflatten(2, x.shape[2:])


class Temporal(nn.Module):
    def __init__(self, channels: int, inner: int, adapters: tuple[str, ...], serial: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in, self.proj_out = nn.Conv1d(channels, inner, 1), nn.Conv1d(inner, channels, 1)
        self.transformer_blocks = nn.ModuleList([Block(inner, inner, adapters, CONTEXT, serial)])

    def forward(self, x: Tensor, condition: Tensor | None, strength: float) -> Tensor:  # (B, C, F, H, W)
        batch, channels, frames, height, width = x.shape
        hidden = self.proj_in(self.norm(x).permute(0, 3, 4, 1, 2).reshape(-1, channels, frames)).transpose(1, 2)
        if condition is not None:  # (B, 1, D), the same at every place and moment
            condition = condition.repeat_interleave(height * width, dim=0)
        hidden = self.proj_out(self.transformer_blocks[0](hidden, None, condition, strength).transpose(1, 2))
        return x + hidden.reshape(batch, height, width, channels, frames).permute(0, 3, 4, 1, 2)


class TemporalConvolutions(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        for index in range(1, 5):
            dropout = [nn.Dropout(0.1)] if index > 1 else []
            convolution = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
            setattr(self, f"conv{index}", nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), *dropout, convolution))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv4(self.conv3(self.conv2(self.conv1(x))))


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(32, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, outputs))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, outputs), nn.SiLU(), nn.Dropout(0.1), nn.Conv2d(outputs, outputs, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.temopral_conv = TemporalConvolutions(outputs)

    def forward(self, x: Tensor, embedding: Tensor, batch: int) -> Tensor:
        hidden = self.in_layers(x) + self.emb_layers(embedding)[:, :, None, None]
        hidden = self.skip_connection(x) + self.out_layers(hidden)
        return to_frames(self.temopral_conv(to_clips(hidden, batch)))


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)


def to_clips(x: Tensor, batch: int) -> Tensor:
    return x.unflatten(0, (batch, -1)).transpose(1, 2)


def to_frames(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(0, 1)


class AuthorsUNet(nn.Module):
    """The whole network, with or without adapters."""

    def __init__(
        self, dim: int, multipliers: tuple[int, ...], layers: int,
        spatial: tuple[str, ...] = (), temporal: tuple[str, ...] = (), serial: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.dim, embedding = dim, 4 * dim
        self.time_embed = nn.Sequential(nn.Linear(dim, embedding), nn.SiLU(), nn.Linear(embedding, embedding))

        def attentions(channels: int, inner: int) -> list[nn.Module]:
            return [Spatial(channels, spatial, serial), Temporal(channels, inner, temporal, serial)]

        first = nn.ModuleList([nn.Conv2d(4, dim, 3, padding=1), Temporal(dim, 8 * HEAD, temporal, serial)])
        self.input_blocks, self.output_blocks = nn.ModuleList([first]), nn.ModuleList()
        widths, shortcuts, channels = [dim * m for m in multipliers], [dim], dim
        for level, width in enumerate(widths):
            for _ in range(layers):
                block = [Residual(channels, width, embedding)]
                block += attentions(width, width) if level < 3 else []
                self.input_blocks.append(nn.ModuleList(block))
                channels = width
                shortcuts.append(channels)
            if level < len(widths) - 1:
                self.input_blocks.append(Downsample(channels))
                shortcuts.append(channels)
        middle = [Residual(channels, channels, embedding), *attentions(channels, channels)]
        self.middle_block = nn.ModuleList([*middle, Residual(channels, channels, embedding)])
        for level, width in reversed(list(enumerate(widths))):
            for layer in range(layers + 1):
                block = [Residual(channels + shortcuts.pop(), width, embedding)]
                block += attentions(width, width) if level < 3 else []
                block += [Upsample(width)] if level and layer == layers else []
                self.output_blocks.append(nn.ModuleList(block))
                channels = width
        self.out = nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), nn.Conv2d(channels, 4, 3, padding=1))

    def forward(
        self, x: Tensor, t: Tensor, y: Tensor, y_image: Tensor | None = None, ag_strength: float = 1.0
    ) -> Tensor:
        batch, frames = x.shape[0], x.shape[2]
        rates = 10000.0 ** (-torch.arange(self.dim // 2) / (self.dim // 2))
        angles = t[:, None].float() * rates
        embedding = self.time_embed(torch.cat((angles.cos(), angles.sin()), dim=1)).repeat_interleave(frames, dim=0)
        context = y.repeat_interleave(frames, dim=0)

        def run(block: nn.Module, x: Tensor) -> Tensor:
            for module in block if isinstance(block, nn.ModuleList) else [block]:
                if isinstance(module, Residual):
                    x = module(x, embedding, batch)
                elif isinstance(module, Spatial):
                    x = module(x, context)
                elif isinstance(module, Temporal):
                    x = to_frames(module(to_clips(x, batch), y_image, ag_strength))
                elif isinstance(module, Upsample):
                    x = module.conv(functional.interpolate(x, scale_factor=2, mode="nearest"))
                else:
                    x = module.op(x) if isinstance(module, Downsample) else module(x)
            return x

        x, shortcuts = to_frames(x), []
        for block in self.input_blocks:
            x = run(block, x)
            shortcuts.append(x)
        x = run(self.middle_block, x)
        for block in self.output_blocks:
            x = run(block, torch.cat((x, shortcuts.pop()), dim=1))
        return to_clips(self.out(x), batch)
