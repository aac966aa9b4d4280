"""Train Ember from scratch and export it as two GGUF files (text model + mmproj) for llama.cpp.

One command does everything: python train_ember.py --out OUT_DIR
It generates all data itself (ember_data.py, ember_images.py), trains a byte-level BPE tokenizer, warms up the vision
encoder on dense labels, trains the whole network end to end and writes ember.gguf and mmproj-ember.gguf.
Needs torch, numpy, tokenizers, gguf, pillow and jinja2; two CPU cores are enough. Interrupted runs resume from --work.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

import ember_data as data
from ember_images import N_IMAGE_TOKENS, PATCH, SIZE, Scene, normalize, patch_labels, preprocess, render
from ember_model import Config, Ember

# llama.cpp's regular expression for tokenizer.ggml.pre = "qwen2"; single digits are single tokens.
PRE_REGEX = (r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
             r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|image|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"]
VISIBLE = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]  # shown in the output
SPECIAL = CONTROL + VISIBLE


# ----------------------------------------------------------------------------------------------------------- tokenizer
def train_tokenizer(path: Path, vocab: int) -> Tokenizer:
    """Byte-level BPE on the synthetic corpus; the 256 byte tokens make every UTF-8 text round-trip."""
    if path.exists():
        return Tokenizer.from_file(str(path))
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PRE_REGEX), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    rng = random.Random(7)
    texts = []
    for _ in range(14000):
        text = data.sample(rng, vision=False).text()
        for special in [*SPECIAL, data.MARKER]:
            text = text.replace(special, "\n")
        texts.append(text)
    texts += [data.vision_example(rng).text() for _ in range(600)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tok.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocab - len(SPECIAL), initial_alphabet=alphabet, show_progress=False))
    tok.add_special_tokens(SPECIAL)
    tok.save(str(path))
    return tok


@dataclass
class Encoded:
    ids: list[int]
    target: list[float]  # weight of predicting ids[i]
    slots: list[bool]
    scenes: list[Scene]
    drill: bool = False


class Encoder:
    """Turns examples into token ids, loss weights and image slots, as mtmd tokenizes them at inference."""

    def __init__(self, tok: Tokenizer) -> None:
        self.tok = tok
        self.pad, self.start, self.end = (tok.token_to_id(t) for t in CONTROL[:3])
        self.image = tok.token_to_id("<|image|>")
        self.header = tok.encode("assistant\n").ids

    def encode(self, example: data.Example) -> Encoded:
        text = example.text()
        ids: list[int] = []
        slots: list[bool] = []
        for i, part in enumerate(text.split(data.MARKER)):  # mtmd tokenizes the pieces between pictures separately
            if i:
                ids += [self.image] * N_IMAGE_TOKENS
                slots += [True] * N_IMAGE_TOKENS
            piece = self.tok.encode(part).ids
            ids += piece
            slots += [False] * len(piece)
        if example.raw is not None:
            return Encoded(ids, [1.0] * len(ids), slots, [])
        target = [0.0] * len(ids)
        i, n = 0, len(self.header)
        while i < len(ids):
            if ids[i] == self.start and ids[i + 1:i + 1 + n] == self.header:
                i += 1 + n
                if example.think:  # earlier answers of a thinking chat are shown without their thoughts: learn the last one only
                    target = [0.0] * len(ids)
                while ids[i] != self.end:
                    target[i] = 1.0
                    i += 1
                target[i] = 1.0
            i += 1
        return Encoded(ids, target, slots, example.images)


    def drill(self, rng: random.Random) -> Encoded:
        """Random tokens, then the same tokens again: teaches attention to look up what followed earlier."""
        span = rng.sample(range(self.pad), rng.randint(8, 56))
        filler = rng.sample(range(self.pad), rng.choice([0, 0, 1, 5, 20]))
        n = len(span) + len(filler)
        start = rng.randrange(len(span) // 2)
        tail = span[start:]
        return Encoded(span + filler + tail, [0.0] * (n + 1) + [1.0] * (len(tail) - 1), [False] * (n + len(tail)), [], True)


def batches(encoder: Encoder, seed: int, tokens: int, vision: bool = True, drills: int = 12) -> Iterator[tuple[Tensor, ...]]:
    """Endless stream of length-bucketed batches: ids, weights, slots, pixels, labels."""
    rng = random.Random(seed)
    while True:
        fresh = [encoder.encode(data.sample(rng, vision)) for _ in range(512)] + [encoder.drill(rng) for _ in range(drills)]
        pool = sorted(fresh, key=lambda e: len(e.ids) + rng.random())
        groups: list[list[Encoded]] = [[]]  # drills mix with conversations of the same length
        for e in pool:
            if len(e.ids) > 1600:
                continue
            if groups[-1] and len(e.ids) * (len(groups[-1]) + 1) > tokens:
                groups.append([])
            groups[-1].append(e)
        rng.shuffle(groups)
        for group in groups:
            ids, weight, slots = collate(group, encoder.pad)
            yield ids, weight, slots, *image_batch([s for e in group for s in e.scenes]), *hints(group, ids.shape[1])


def collate(group: list[Encoded], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    width = max(len(e.ids) for e in group)
    ids = torch.full((len(group), width), pad)
    weight, slots = torch.zeros(len(group), width), torch.zeros(len(group), width, dtype=torch.bool)
    for row, e in enumerate(group):
        n = len(e.ids)
        ids[row, :n], weight[row, :n], slots[row, :n] = torch.tensor(e.ids), torch.tensor(e.target), torch.tensor(e.slots)
    return ids, weight, slots


def hints(group: list[Encoded], width: int) -> tuple[Tensor, Tensor]:
    """Where the guided heads should look (see GUIDED): the token before; in drills also what followed the last occurrence."""
    previous, source = torch.full((len(group), width), -1), torch.full((len(group), width), -1)
    for row, e in enumerate(group):
        if not e.drill:
            continue
        seen: dict[int, int] = {}
        for i, token in enumerate(e.ids):
            previous[row, i] = i - 1
            source[row, i] = seen[token] + 1 if seen.get(token, i) + 1 < i else -1
            seen[token] = i
    return previous, source


def image_batch(scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    if not scenes:
        return torch.zeros(0, 3, SIZE, SIZE), torch.zeros(0, 4, N_IMAGE_TOKENS, dtype=torch.long)
    return (torch.from_numpy(np.stack([normalize(preprocess(s.image)) for s in scenes])), torch.from_numpy(np.stack([patch_labels(s) for s in scenes])))


# ------------------------------------------------------------------------------------------------------------ training
class Muon(torch.optim.Optimizer):
    """Muon, with the Newton-Schulz steps batched over matrices of one shape (several times faster on a CPU than torch.optim.Muon)."""

    def __init__(self, groups: list[dict], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        shapes: dict[tuple[int, ...], list[tuple[Tensor, Tensor, dict]]] = {}
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                buffer = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(buffer, group["momentum"])
                wide = update if p.shape[0] <= p.shape[1] else update.T
                shapes.setdefault(tuple(wide.shape), []).append((wide, p, group))
        for entries in shapes.values():
            x = torch.stack([w for w, _, _ in entries])
            x /= x.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
            for _ in range(5):
                gram = torch.bmm(x, x.mT)
                x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
            for update, (_, p, group) in zip(x, entries):
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update if p.shape[0] <= p.shape[1] else update.T, alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)


class Optimizers:
    """Muon for the weight matrices, AdamW for everything else."""

    def __init__(self, model: torch.nn.Module, lr_matrix: float, lr_rest: float) -> None:
        def is_matrix(name: str, p: Tensor) -> bool:
            return p.dim() == 2 and not any(k in name for k in ("embed", "pos", "aux", "mm"))

        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for name, p in model.named_parameters():
            groups.setdefault((is_matrix(name, p), name.startswith("vision.") and "mm" not in name), []).append(p)
        slow = 0.25  # the vision encoder comes pretrained from stage one
        self.muon = Muon([{"params": p, "base": lr_matrix * (slow if v else 1.0)} for (m, v), p in groups.items() if m],
                         lr=lr_matrix, weight_decay=0.02)
        self.adam = torch.optim.AdamW([{"params": p, "base": lr_rest * (slow if v else 1.0)} for (m, v), p in groups.items() if not m],
                                      lr=lr_rest, betas=(0.9, 0.98), weight_decay=0.01)

    def step(self, factor: float) -> None:
        for opt in (self.muon, self.adam):
            for group in opt.param_groups:
                group["lr"] = group["base"] * factor
            opt.step()


def train_vision(model: Ember, minutes: float, log: Path) -> None:
    """Stage one: the encoder alone learns to name what each patch shows."""
    vision, rng = model.vision, random.Random(1)
    opt = Optimizers(vision, 3e-3, 2e-3)
    begin, step = time.time(), 0
    while (done := (time.time() - begin) / 60 / max(minutes, 1e-6)) < 1:
        pixels, labels = image_batch([render(rng) for _ in range(64)])
        loss = vision.aux_loss(vision.features(pixels), labels)
        vision.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vision.parameters(), 1.0)
        opt.step(min(1.0, step / 100) * (1 - done) ** 0.7 + 0.003)
        step += 1
        if step % 50 == 0:
            report(log, f"vision step {step} loss {loss.item():.3f}")


def train_copy(model: Ember, encoder: Encoder, minutes: float, log: Path) -> None:
    """Stage two: drills only, until the decoder can look up and copy what it has never seen. Without it copying stalls for long."""
    opt, rng = Optimizers(model, 4e-3, 4e-3), random.Random(2)
    begin, step, mean = time.time(), 0, 8.0
    while time.time() - begin < 60 * minutes and mean > 0.6:
        group = [encoder.drill(rng) for _ in range(32)]
        ids, weight, _ = collate(group, encoder.pad)
        previous, source = hints(group, ids.shape[1])
        keep = weight[:, 1:] > 0
        hidden = model.hidden(ids, looks={"previous": previous, "source": source})
        loss = F.cross_entropy(model.logits(hidden[:, :-1][keep]), ids[:, 1:][keep])
        model.zero_grad()
        (loss + sum(b.guide_loss for b in model.blocks)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step(min(1.0, (step + 1) / 20))
        step, mean = step + 1, 0.9 * mean + 0.1 * loss.item()
        if step % 20 == 0:
            report(log, f"copy step {step} loss {mean:.3f}")


def train_joint(model: Ember, encoder: Encoder, work: Path, minutes: float, log: Path, args: argparse.Namespace) -> None:
    """Stage three: everything end to end on the conversations. Time-based schedule: warm-up, plateau, decay to zero."""
    opt = Optimizers(model, args.lr, args.lr)
    path = work / "joint.pt"
    spent, step, seen = 0.0, 0, 0
    if path.exists():
        state = torch.load(path, weights_only=False)
        model.load_state_dict(state["model"])
        opt.muon.load_state_dict(state["muon"])
        opt.adam.load_state_dict(state["adam"])
        spent, step, seen = state["spent"], state["step"], state["seen"]
        for o in (opt.muon, opt.adam):
            for g in o.param_groups:
                g["base"] = g["base"] * args.lr / state["lr"]
        report(log, f"resumed at step {step}, {spent / 60:.1f} min")
    stream = batches(encoder, 1000 + step, args.tokens)
    fast_hidden = torch.compile(model.hidden, dynamic=True)  # twice as fast as eager on a CPU
    fast_features = torch.compile(model.vision.features, dynamic=True)
    last, saved, mean = time.time(), time.time(), 0.0
    while (done := spent / 60 / minutes) < 1:
        ids, weight, slots, pixels, labels, previous, source = next(stream)
        loss_aux = torch.zeros(())
        embeds = None
        if len(pixels):
            features = fast_features(pixels)
            loss_aux = model.vision.aux_loss(features, labels)
            embeds = model.vision.project(features)
        guided = bool((source >= 0).any())
        if guided:
            hidden = model.hidden(ids, slots if embeds is not None else None, embeds, {"previous": previous, "source": source})[:, :-1]
        else:
            hidden = fast_hidden(ids, slots if embeds is not None else None, embeds)[:, :-1]
        loss_guide = sum(b.guide_loss for b in model.blocks) if guided else torch.zeros(())
        extra = (torch.rand(weight.shape) < 0.1) & (ids != encoder.pad) & ~slots & (weight == 0) & (source.amax(1) < 0)[:, None]  # a little of the prompts too
        weight = torch.where(extra, torch.tensor(args.prompt_weight), weight)[:, 1:]
        keep = weight > 0
        losses = F.cross_entropy(model.logits(hidden[keep]), ids[:, 1:][keep], reduction="none")
        answers = weight[keep] == 1
        loss_text = (losses * weight[keep]).sum() / weight[keep].sum()
        loss = loss_text + 0.2 * loss_aux + 0.05 * loss_guide
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step(min(1.0, (step + 1) / 60) * min(1.0, (1 - done) / args.decay + 0.01))
        step += 1
        seen += int((ids != encoder.pad).sum())
        mean = 0.95 * mean + 0.05 * losses[answers].mean().item() if step > 1 else losses[answers].mean().item()
        now = time.time()
        spent += min(now - last, 20.0)  # a paused process does not lose its schedule
        last = now
        if step % 20 == 0:
            report(log, f"step {step} {spent / 60:.1f} min tokens {seen / 1e6:.2f}M answers {mean:.3f} aux {loss_aux.item():.2f} guide {float(loss_guide):.2f}")
        if now - saved > 150 or (work / "save").exists():
            saved = now
            (work / "save").unlink(missing_ok=True)
            save(model, opt, path, spent, step, seen, args.lr)
    save(model, opt, path, spent, step, seen, args.lr)


def save(model: Ember, opt: Optimizers, path: Path, spent: float, step: int, seen: int, lr: float) -> None:
    state = {"model": model.state_dict(), "muon": opt.muon.state_dict(), "adam": opt.adam.state_dict(), "spent": spent, "step": step, "seen": seen, "lr": lr}
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def report(log: Path, line: str) -> None:
    print(line, flush=True)
    with log.open("a") as f:
        f.write(line + "\n")


# -------------------------------------------------------------------------------------------------------------- export
def export_text(model: Ember, tok: Tokenizer, path: Path) -> None:
    """ember.gguf: the decoder as llama.cpp's qwen3 architecture, with tokenizer and chat template."""
    import json

    cfg, w = model.cfg, gguf.GGUFWriter(str(path), "qwen3")
    w.add_name("Ember")
    w.add_description("Ember, the tiny built-in vision-chat model of Hearth, trained from scratch on synthetic data")
    w.add_license("MIT")
    w.add_size_label(f"{sum(p.numel() for n, p in model.named_parameters() if 'vision' not in n) / 1e6:.1f}M")
    w.add_context_length(2048)
    w.add_embedding_length(cfg.dim)
    w.add_block_count(cfg.layers)
    w.add_feed_forward_length(cfg.ff)
    w.add_head_count(cfg.heads)
    w.add_head_count_kv(cfg.kv_heads)
    w.add_key_length(cfg.head_dim)
    w.add_value_length(cfg.head_dim)
    w.add_rope_freq_base(cfg.rope_base)
    w.add_layer_norm_rms_eps(cfg.eps)
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    vocab = sorted(tok.get_vocab().items(), key=lambda kv: kv[1])
    tokens = [t for t, _ in vocab] + [f"[UNUSED{i}]" for i in range(len(vocab), cfg.vocab)]
    kinds = [gguf.TokenType.CONTROL if t in CONTROL else gguf.TokenType.USER_DEFINED if t in VISIBLE else gguf.TokenType.UNUSED if t.startswith("[UNUSED") else gguf.TokenType.NORMAL for t in tokens]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    merges = json.loads(tok.to_str())["model"]["merges"]
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    ids = {t: tok.token_to_id(t) for t in SPECIAL}
    w.add_bos_token_id(ids["<|endoftext|>"])
    w.add_eos_token_id(ids["<|im_end|>"])
    w.add_pad_token_id(ids["<|endoftext|>"])
    w.add_add_bos_token(False)
    w.add_uint32("tokenizer.ggml.fim_pre_token_id", ids["<|fim_prefix|>"])
    w.add_uint32("tokenizer.ggml.fim_mid_token_id", ids["<|fim_middle|>"])
    w.add_uint32("tokenizer.ggml.fim_suf_token_id", ids["<|fim_suffix|>"])
    w.add_chat_template(data.CHAT_TEMPLATE)
    w.add_float32("general.sampling.temp", 0.0)  # so small a model needs its likeliest word each time
    names = {"attn_norm": "attn_norm", "ffn_norm": "ffn_norm", "q_norm": "attn_q_norm", "k_norm": "attn_k_norm", "q": "attn_q", "k": "attn_k",
             "v": "attn_v", "o": "attn_output", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"}
    state = {k: v.detach().float().numpy() for k, v in model.state_dict().items()}
    w.add_tensor("token_embd.weight", state["embed.weight"].astype(np.float16))
    w.add_tensor("output_norm.weight", state["norm.weight"])
    for i in range(cfg.layers):
        for ours, theirs in names.items():
            t = state[f"blocks.{i}.{ours}.weight"]
            w.add_tensor(f"blk.{i}.{theirs}.weight", t.astype(np.float16) if t.ndim == 2 else t)
    finish(w)


def export_vision(model: Ember, path: Path) -> None:
    """mmproj-ember.gguf: the encoder in clip.cpp's LLaVA layout ('mlp' projector, padded square input)."""
    cfg, w = model.cfg, gguf.GGUFWriter(str(path), "clip")
    w.add_name("Ember vision")
    w.add_description("Vision encoder of Ember")
    w.add_license("MIT")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", "mlp")
    w.add_bool("clip.use_gelu", True)
    w.add_uint32("clip.vision.image_size", SIZE)
    w.add_uint32("clip.vision.patch_size", PATCH)
    w.add_uint32("clip.vision.embedding_length", cfg.v_dim)
    w.add_uint32("clip.vision.feed_forward_length", cfg.v_ff)
    w.add_uint32("clip.vision.projection_dim", cfg.dim)
    w.add_uint32("clip.vision.block_count", cfg.v_layers)
    w.add_uint32("clip.vision.attention.head_count", cfg.v_heads)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", cfg.eps)
    w.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    w.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    w.add_array("clip.vision.feature_layer", [cfg.v_layers])  # without it clip.cpp skips LLaVA's last layer
    state = {k: v.detach().float().numpy() for k, v in model.vision.state_dict().items()}
    names = {"ln1": "ln1", "ln2": "ln2", "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_out", "up": "ffn_up", "down": "ffn_down"}
    w.add_tensor("v.patch_embd.weight", state["patch.weight"])
    w.add_tensor("v.patch_embd.bias", state["patch.bias"])
    w.add_tensor("v.position_embd.weight", state["pos"])
    pairs = {f"blocks.{i}.{a}": f"v.blk.{i}.{b}" for i in range(cfg.v_layers) for a, b in names.items()}
    pairs |= {"post_ln": "v.post_ln", "mm0": "mm.0", "mm2": "mm.2"}
    for ours, theirs in pairs.items():
        t = state[f"{ours}.weight"]
        w.add_tensor(f"{theirs}.weight", t.astype(np.float16) if t.ndim == 2 else t)
        w.add_tensor(f"{theirs}.bias", state[f"{ours}.bias"])
    finish(w)


def finish(w: gguf.GGUFWriter) -> None:
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for ember.gguf and mmproj-ember.gguf")
    parser.add_argument("--work", type=Path, default=Path("ember-work"), help="folder for tokenizer, checkpoints and log")
    parser.add_argument("--vision-minutes", type=float, default=13)
    parser.add_argument("--copy-minutes", type=float, default=8, help="at most")
    parser.add_argument("--minutes", type=float, default=45, help="minutes of joint training")
    parser.add_argument("--tokens", type=int, default=4096, help="tokens per batch")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--decay", type=float, default=0.3, help="share of the time in which the learning rate falls")
    parser.add_argument("--prompt-weight", type=float, default=0.3)
    parser.add_argument("--export-only", action="store_true")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    log = args.work / "train.log"
    torch.manual_seed(0)
    torch.set_num_threads(2)
    cfg = Config()
    tok = train_tokenizer(args.work / "tokenizer.json", cfg.vocab)
    model = Ember(cfg)
    report(log, f"vocabulary {tok.get_vocab_size()}, parameters {sum(p.numel() for p in model.parameters()) / 1e6:.2f}M")
    if args.export_only:
        model.load_state_dict(torch.load(args.work / "joint.pt", weights_only=False)["model"])
    else:
        warm = args.work / "vision.pt"
        if not warm.exists():
            train_vision(model, args.vision_minutes, log)
            torch.save(model.vision.state_dict(), warm)
        model.vision.load_state_dict(torch.load(warm))
        if not (args.work / "joint.pt").exists():
            train_copy(model, Encoder(tok), args.copy_minutes, log)
        train_joint(model, Encoder(tok), args.work, args.minutes, log, args)
    export_text(model, tok, args.out / "ember.gguf")
    export_vision(model, args.out / "mmproj-ember.gguf")


if __name__ == "__main__":
    main()
