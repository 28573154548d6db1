"""MobileVLM V2's structure in torch, at the demo's size, for training. Submodules carry the published names.

Serving never runs this file: it exports the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from edgevlm_demo.scenes import GRID, PATCH
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Sizes of the model. Heads are 32 wide in tower and decoder."""

    vocab: int
    width: int = 128
    tower_layers: int = 4  # that run; one more is stored
    tower_mlp: int = 512
    layers: int = 3
    mlp: int = 352
    head: int = 32


class SelfAttention(nn.Module):
    """CLIP's attention: every projection has a bias."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.head = shape.width // shape.head, shape.head
        self.q_proj = nn.Linear(shape.width, shape.width)
        self.k_proj = nn.Linear(shape.width, shape.width)
        self.v_proj = nn.Linear(shape.width, shape.width)
        self.out_proj = nn.Linear(shape.width, shape.width)

    def forward(self, x: Tensor) -> Tensor:  # [B, N, W]
        batch, length, width = x.shape

        def split(y: Tensor) -> Tensor:
            return y.view(batch, length, self.heads, self.head).transpose(1, 2)

        y = F.scaled_dot_product_attention(split(self.q_proj(x)), split(self.k_proj(x)), split(self.v_proj(x)))
        projected: Tensor = self.out_proj(y.transpose(1, 2).reshape(batch, length, width))
        return projected


class TowerMlp(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.width, shape.tower_mlp)
        self.fc2 = nn.Linear(shape.tower_mlp, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.fc1(x)
        projected: Tensor = self.fc2(y * torch.sigmoid(1.702 * y))
        return projected


class TowerLayer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = SelfAttention(shape)
        self.layer_norm1 = nn.LayerNorm(shape.width, eps=1e-5)
        self.mlp = TowerMlp(shape)
        self.layer_norm2 = nn.LayerNorm(shape.width, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        y: Tensor = x + self.mlp(self.layer_norm2(x))
        return y


class TowerEmbeddings(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(shape.width) * 0.1)
        self.patch_embedding = nn.Conv2d(3, shape.width, PATCH, stride=PATCH, bias=False)
        self.position_embedding = nn.Embedding(GRID * GRID + 1, shape.width)
        with torch.no_grad():
            self.position_embedding.weight[0].zero_()
            self.position_embedding.weight[1:] = sine_table(shape.width)

    def forward(self, pixels: Tensor) -> Tensor:
        # a matmul over unfolded patches: several times faster than the convolution on a CPU
        batch = pixels.shape[0]
        patches = pixels.view(batch, 3, GRID, PATCH, GRID, PATCH).permute(0, 2, 4, 1, 3, 5)
        x = patches.reshape(batch, GRID * GRID, -1) @ self.patch_embedding.weight.flatten(1).T
        start = self.class_embedding.expand(batch, 1, -1)
        return torch.cat((start, x), dim=1) + self.position_embedding.weight


class TowerEncoder(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TowerLayer(shape) for _ in range(shape.tower_layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Tower(nn.Module):
    """CLIP's vision model without its last layer: pixels to `[B, 144, W]`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embeddings = TowerEmbeddings(shape)
        self.pre_layrnorm = nn.LayerNorm(shape.width, eps=1e-5)
        self.encoder = TowerEncoder(shape)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.pre_layrnorm(self.embeddings(pixels))
        patches: Tensor = self.encoder(x)[:, 1:]
        return patches


class Projector(nn.Module):
    """LDPv2. Its pooling to 12 x 12 is the identity on this grid."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        layers = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.mlp = nn.ModuleDict({"mlp": layers})
        peg = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, groups=width))
        self.peg = nn.ModuleDict({"peg": peg})

    def forward(self, patches: Tensor) -> Tensor:
        x = self.mlp["mlp"](patches)
        square = x.transpose(1, 2).reshape(x.shape[0], -1, GRID, GRID)
        y: Tensor = (square + self.peg["peg"](square)).flatten(2).transpose(1, 2)
        return y


class RmsNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, 1e-6)


class DecoderAttention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.head = shape.width // shape.head, shape.head
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def split(self, x: Tensor) -> Tensor:  # [B, N, W] -> [B, heads, N, head]
        return x.view(*x.shape[:2], self.heads, self.head).transpose(1, 2)


class DecoderMlp(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.mlp, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.mlp, bias=False)
        self.down_proj = nn.Linear(shape.mlp, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return y


class DecoderLayer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = DecoderAttention(shape)
        self.mlp = DecoderMlp(shape)
        self.input_layernorm = RmsNorm(shape.width)
        self.post_attention_layernorm = RmsNorm(shape.width)

    def forward(self, prefix: Tensor, rest: Tensor, rope: tuple[Tensor, Tensor], start: int) -> tuple[Tensor, Tensor]:
        """`prefix` `[1, P, W]` comes before every row of `rest` `[B, R, W]`, which loses its first `start` tokens."""
        attend = self.self_attn
        split, batch, before = attend.split, rest.shape[0], prefix.shape[1]
        p, r = self.input_layernorm(prefix), self.input_layernorm(rest)
        cosine, sine = rope
        keys_p = rotate(split(attend.k_proj(p)), cosine[:before], sine[:before])
        values_p = split(attend.v_proj(p))
        keys_r = rotate(split(attend.k_proj(r)), cosine[before:], sine[before:])
        keys = torch.cat((keys_p.expand(batch, -1, -1, -1), keys_r), dim=2)
        values = torch.cat((values_p.expand(batch, -1, -1, -1), split(attend.v_proj(r))), dim=2)
        here = before + start
        queries = rotate(split(attend.q_proj(r[:, start:])), cosine[here:], sine[here:])
        total = keys.shape[2]
        seen = torch.ones(total - here, total, dtype=torch.bool, device=rest.device).tril(here)
        y = F.scaled_dot_product_attention(queries, keys, values, attn_mask=seen)
        rest = self._finish(rest[:, start:], y)
        if start:
            return prefix, rest
        queries = rotate(split(attend.q_proj(p)), cosine[:before], sine[:before])
        y = F.scaled_dot_product_attention(queries, keys_p, values_p, is_causal=True)
        return self._finish(prefix, y), rest

    def _finish(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.self_attn.o_proj(attended.transpose(1, 2).reshape(x.shape))
        y: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return y


class Decoder(nn.Module):
    """LLaMA without its head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head = shape.head
        self.embed_tokens = nn.Embedding(shape.vocab, shape.width)
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.layers))
        self.norm = RmsNorm(shape.width)

    def forward(self, before: Tensor, features: Tensor, text: Tensor) -> Tensor:
        """Ids before the image `[P]`, features `[B, 144, W]`, ids after it `[B, T]` -> `[B, T, W]`."""
        prefix = self.embed_tokens(before)[None]
        rest = torch.cat((features, self.embed_tokens(text)), dim=1)
        cosine, sine = rotary_table(prefix.shape[1] + rest.shape[1], self.head)
        rope = cosine.to(rest.device), sine.to(rest.device)
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            # nothing reads the last layer's output at the image
            start = features.shape[1] if index == last else 0
            prefix, rest = layer(prefix, rest, rope, start)
        y: Tensor = self.norm(rest)
        return y


class DemoModel(nn.Module):
    """Tower, projector, decoder and head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.tower = Tower(shape)
        self.projector = Projector(shape)
        self.decoder = Decoder(shape)
        self.lm_head = nn.Linear(shape.width, shape.vocab, bias=False)
        initialise(self, shape)

    def logits(self, patches: Tensor, before: Tensor, text: Tensor) -> Tensor:
        """`[B, T, vocab]` at the positions after the image."""
        y: Tensor = self.lm_head(self.decoder(before, self.projector(patches), text))
        return y


def initialise(model: DemoModel, shape: Shape) -> None:
    """Xavier for matrices; the ends of residual branches start smaller."""
    for name, parameter in model.named_parameters():
        if "position_embedding" in name or parameter.dim() < 2:
            continue
        if "embed_tokens" in name:
            nn.init.normal_(parameter, std=0.1)
        elif "peg" in name:
            nn.init.normal_(parameter, std=0.02)
        else:
            nn.init.xavier_uniform_(parameter.data.view(parameter.shape[0], -1))
        if name.endswith(("out_proj.weight", "fc2.weight")):
            parameter.data.mul_((2 * shape.tower_layers) ** -0.5)
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            parameter.data.mul_((2 * shape.layers) ** -0.5)


def sine_table(width: int) -> Tensor:
    """`[144, width]`: sines and cosines of the row in the first half, of the column in the second."""
    quarter = width // 4
    frequencies = 2.0 * torch.pow(30.0, -torch.arange(quarter) / quarter)
    angles = torch.arange(GRID)[:, None] * frequencies
    line = torch.cat((angles.sin(), angles.cos()), dim=1)
    rows = line[:, None].expand(GRID, GRID, -1)
    columns = line[None].expand(GRID, GRID, -1)
    return 0.3 * torch.cat((rows, columns), dim=2).reshape(GRID * GRID, width)


def rotary_table(length: int, head: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine, `[length, head]`, base 10000, halves repeated."""
    frequencies = 10000.0 ** (-torch.arange(0, head, 2) / head)
    angles = torch.arange(length)[:, None] * frequencies
    angles = torch.cat((angles, angles), dim=1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate-half RoPE on `[B, heads, N, head]`."""
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine
