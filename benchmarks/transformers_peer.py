"""The models as transformers runs them, with random weights: a LLaMA decoder, and CLIP's tower without a projector.

`python -m benchmarks.transformers_peer` reads a job as JSON and writes its figures as JSON. Two ways: eager,
where Python launches every kernel and the cache grows, as in upstream's own code; and a cache of fixed size, with the
kernels of a call captured in a CUDA graph.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import transformers
from transformers import CLIPVisionConfig, CLIPVisionModel, DynamicCache, LlamaConfig, LlamaForCausalLM, StaticCache

from benchmarks.measure import Timing, timed
from benchmarks.peer_figures import FIGURES, JOB, PeerFigures, PeerJob, Way
from benchmarks.shapes import MAX_LENGTH, SHAPES, Shape, Tower

NAME = f"transformers {transformers.__version__}, torch {torch.__version__}"
WARM_UPS = 3
"""Runs before a capture: libraries choose kernels and take memory in the first ones."""

REPEATS = 10

Call = Callable[[], Any]
"""Enqueues one call's kernels and returns what they write."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Both models on one device."""

    decoder: Any
    tower: Any
    device: str

    def next_tokens(self, tokens: Any, cache: Any) -> Any:
        """The likeliest next token of each row, `[rows, 1]`, after `tokens`, `[rows, length]`, behind the cache."""
        output = self.decoder(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1].argmax(-1, keepdim=True)

    def text(self, rows: int, length: int) -> Any:
        """Random tokens, `[rows, length]`."""
        return torch.randint(3, self.decoder.config.vocab_size, (rows, length), device=self.device)

    def static_cache(self, length: int) -> Any:
        return StaticCache(config=self.decoder.config, max_cache_len=length)


def load(shape: Shape, device: str) -> Peer:
    """Weights drawn by the library itself, on the device; float16 on a GPU, as upstream runs it, else float32."""
    torch.set_default_dtype(torch.float16 if device == "cuda" else torch.float32)
    with torch.device(device):
        decoder, tower = LlamaForCausalLM(_decoder_config(shape)), CLIPVisionModel(_tower_config(shape.tower))
    return Peer(decoder.eval(), tower.eval(), device)


def measure(job: PeerJob) -> PeerFigures:
    torch.set_num_threads(job.threads)
    with torch.inference_mode():
        peer = load(SHAPES[job.shape], job.device)
        return PeerFigures(NAME, _eager(peer, job), _graphs(peer, job) if job.device == "cuda" else None)


def _eager(peer: Peer, job: PeerJob) -> Way:
    pixels = _pixels(peer)
    prompt = peer.text(1, job.prompt)
    return Way(
        tower=_timed(lambda: peer.tower(pixels).last_hidden_state, REPEATS),
        prefill=_timed(lambda: peer.next_tokens(prompt, DynamicCache(config=peer.decoder.config)), REPEATS),
        decode={rows: _eager_steps(peer, job, rows) for rows in job.rows},
    )


def _eager_steps(peer: Peer, job: PeerJob, rows: int) -> Timing:
    cache = DynamicCache(config=peer.decoder.config)
    tokens = peer.next_tokens(peer.text(rows, job.past), cache)
    return _timed(lambda: tokens.copy_(peer.next_tokens(tokens, cache)), job.steps)


def _graphs(peer: Peer, job: PeerJob) -> Way:
    pixels = _pixels(peer)
    return Way(
        tower=_timed(_captured(lambda: peer.tower(pixels).last_hidden_state), REPEATS),
        prefill=_timed(_captured(repeated_prefill(peer, job.prompt)), REPEATS),
        decode={rows: _timed(_captured(fixed_steps(peer, job, rows)), job.steps) for rows in job.rows},
    )


def repeated_prefill(peer: Peer, length: int) -> Call:
    """The same prompt from the start of a cache of its own length, at the same addresses in every call."""
    prompt, cache = peer.text(1, length), peer.static_cache(length)
    next_token = peer.next_tokens(prompt, cache)

    def prefill() -> Any:
        cache.reset()
        return next_token.copy_(peer.next_tokens(prompt, cache))

    return prefill


def fixed_steps(peer: Peer, job: PeerJob, rows: int) -> Call:
    """A step at the same addresses in every call: the cache counts its positions on the device.

    The warm-ups of a capture bring the past to its length.
    """
    # the last position is for the call that is not counted
    cache = peer.static_cache(job.past + job.steps + 1)
    tokens = peer.next_tokens(peer.text(rows, job.past - WARM_UPS), cache)
    return lambda: tokens.copy_(peer.next_tokens(tokens, cache))


def _captured(call: Call) -> Call:
    """Replays the call's kernels without Python."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = call()
    return partial(_replayed, graph, result)


def _replayed(graph: Any, result: Any) -> Any:
    graph.replay()
    return result


def _timed(call: Call, repeats: int) -> Timing:
    """Until the last kernel is done and, of tokens, the host has them."""
    return timed(lambda _: _finish(call()), repeats)


def _finish(result: Any) -> None:
    if result.dtype == torch.int64:
        result.tolist()
    elif result.is_cuda:
        torch.cuda.synchronize()


def _pixels(peer: Peer) -> Any:
    edge = peer.tower.config.image_size
    return torch.randn(1, 3, edge, edge, device=peer.device)


def _decoder_config(shape: Shape) -> Any:
    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=MAX_LENGTH,
        pad_token_id=0,
    )


def _tower_config(tower: Tower) -> Any:
    """Without the last layer, which MobileVLM does not run."""
    return CLIPVisionConfig(
        hidden_size=tower.width,
        intermediate_size=tower.inner,
        num_hidden_layers=tower.layers - 1,
        num_attention_heads=tower.heads,
        image_size=tower.image,
        patch_size=tower.patch,
    )


def main() -> None:
    job = JOB.validate_json(sys.stdin.buffer.read())
    if job.device == "cuda" and not torch.cuda.is_available():
        sys.exit(f"torch {torch.__version__} finds no GPU here.")
    sys.stdout.buffer.write(FIGURES.dump_json(measure(job)))


if __name__ == "__main__":
    main()
