#!/usr/bin/env python3
"""Pretrain a small Chinese BERT by masked language modelling, on a CPU or one GPU.

    python pretrain.py encode  --vocab vocab.txt --out cache  text.txt.xz …
    python pretrain.py train   --cache cache --vocab vocab.txt --million-tokens 68 --out run   [--hidden 256 --layers 4 ...]
    python pretrain.py export  --run run --vocab vocab.txt --out hf        # Hugging Face layout: BertForMaskedLM

The vocabulary is a vocab.txt of characters, or a tokenizer.json whose pieces are words (see words.py).
`encode` turns text (one paragraph a line, .txt or .txt.xz) into token ids and word starts. Of characters, masks cover
whole words where jieba is installed, and pairs of characters elsewhere.
`train` masks 20 % of random windows (80/10/10) and stops after so many tokens, where the learning rate has fallen to 0;
after 0 tokens it leaves the start as it is.
It checkpoints every two minutes and `--resume` goes on. Needs: torch, numpy; jieba or tokenizers; safetensors for `export`.
"""
import argparse, json, lzma, math, multiprocessing as mp, os, re, time, unicodedata
from pathlib import Path
import numpy as np

PAD, UNK, CLS, SEP, MASK = range(5)
LATIN = re.compile(r"[a-z0-9]+")


def read_vocab(path):
    if str(path).endswith(".json"):
        return [piece for piece, _ in json.load(open(path, encoding="utf-8"))["model"]["vocab"]]
    return [line.rstrip("\n") for line in open(path, encoding="utf-8")]


# ---- encode -----------------------------------------------------------------------------------------------------
def _init_worker(vocab_path):
    global PIECES
    PIECES = _word_pieces(vocab_path) if str(vocab_path).endswith(".json") else _character_pieces(vocab_path)


def _word_pieces(tokenizer_path):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(tokenizer_path)

    def pieces(line):
        ids = tokenizer.encode(unicodedata.normalize("NFKC", line), add_special_tokens=False).ids
        return ids, [True] * len(ids)
    return pieces


def _character_pieces(vocab_path):
    vocab, cache = {t: i for i, t in enumerate(read_vocab(vocab_path))}, {}
    try:
        import jieba, logging
        jieba.setLogLevel(logging.ERROR)
        jieba.initialize()
        cut = lambda s: jieba.cut(s, HMM=False)
    except ImportError:
        cut = lambda s: re.findall(r"[a-z0-9]+|[\u3400-\u9fff]{1,2}|\S", s)

    def word_piece(word):
        ids = cache.get(word)
        if ids is None:
            ids, i = [], 0
            while i < len(word):
                j = len(word)
                while j > i and (("##" if i else "") + word[i:j]) not in vocab:
                    j -= 1
                if j == i:
                    ids = [UNK]
                    break
                ids.append(vocab[("##" if i else "") + word[i:j]])
                i = j
            if len(cache) < 200_000:
                cache[word] = ids
        return ids

    def pieces(line):
        ids, starts = [], []
        for word in cut(line.lower()):
            if not word.isspace():
                found = word_piece(word) if LATIN.fullmatch(word) else [vocab.get(c, UNK) for c in word if not c.isspace()]
                ids += found
                starts += [True] + [False] * (len(found) - 1) if found else []
        return ids, starts
    return pieces


def _encode_chunk(lines):
    ids, starts = [], []
    for line in lines:
        found, first = PIECES(line.strip())
        if len(found) >= 4:
            ids += [*found, SEP]
            starts += [*first, True]
    return np.array(ids, np.uint16), np.array(starts, bool)


def encode(a):
    def chunks(size=20_000):
        block = []
        for path in a.text:
            opener = lzma.open if path.endswith(".xz") else open
            for line in opener(path, "rt", encoding="utf-8"):
                block.append(line)
                if len(block) == size:
                    yield block
                    block = []
        yield block
    out = Path(a.out); out.mkdir(parents=True, exist_ok=True)
    with mp.Pool(a.processes, _init_worker, (a.vocab,)) as pool:
        parts = [p for p in pool.imap(_encode_chunk, chunks()) if len(p[0])]
    rng = np.random.default_rng(0)
    rng.shuffle(parts)
    ids, starts = (np.concatenate([p[k] for p in parts]) for k in (0, 1))
    np.save(out / "ids.npy", ids); np.save(out / "starts.npy", starts)
    print(f"{len(ids):,} tokens, {np.mean(ids == UNK):.4%} unknown, {starts.mean():.3f} words a token")


# ---- model: standard BERT, parameter names as Hugging Face's BertForMaskedLM --------------------------------------
def build(cfg):
    import torch, torch.nn as nn, torch.nn.functional as F
    H, I, heads = cfg["hidden_size"], cfg["intermediate_size"], cfg["num_attention_heads"]
    norm = lambda: nn.LayerNorm(H, eps=cfg["layer_norm_eps"])

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.query, self.key, self.value, self.attn_out = (nn.Linear(H, H) for _ in range(4))
            self.attn_norm, self.up, self.down, self.out_norm = norm(), nn.Linear(H, I), nn.Linear(I, H), norm()

        def forward(self, x):                                           # (batch, seq, hidden)
            b, n, _ = x.shape
            split = lambda t: t.view(b, n, heads, -1).transpose(1, 2).reshape(b * heads, n, -1)
            q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
            # written out: on a CPU the backward pass of scaled_dot_product_attention takes a third of the whole step
            p = torch.softmax(torch.bmm(q * (H // heads) ** -0.5, k.transpose(1, 2)), -1, dtype=q.dtype)
            ctx = torch.bmm(p, v).view(b, heads, n, -1).transpose(1, 2).reshape(b, n, H)
            x = self.attn_norm(x + self.attn_out(ctx))
            return self.out_norm(x + self.down(F.gelu(self.up(x))))

    class MaskedLM(nn.Module):
        def __init__(self):
            super().__init__()
            self.word = nn.Embedding(cfg["vocab_size"], H)
            self.position = nn.Embedding(cfg["max_position_embeddings"], H)
            self.kind = nn.Embedding(cfg["type_vocab_size"], H)
            self.norm = norm()
            self.layers = nn.ModuleList(Layer() for _ in range(cfg["num_hidden_layers"]))
            self.transform, self.transform_norm = nn.Linear(H, H), norm()
            self.bias = nn.Parameter(torch.zeros(cfg["vocab_size"]))
            for m in self.modules():
                if isinstance(m, (nn.Linear, nn.Embedding)):
                    nn.init.normal_(m.weight, 0.0, 0.02)
                if isinstance(m, nn.Linear):
                    nn.init.zeros_(m.bias)

        def forward(self, ids, first, chosen):      # first position of each sequence; logits of the chosen flat indices
            x = self.word(ids) + self.position(first[:, None] + torch.arange(ids.shape[1], device=ids.device))
            x = self.norm(x + self.kind.weight[0])
            for layer in self.layers:
                x = layer(x)
            h = self.transform_norm(F.gelu(self.transform(x.reshape(-1, H)[chosen])))
            return h @ self.word.weight.T + self.bias

    return MaskedLM()


def start_with_neighbours(model, cfg, vectors, width=64, share=0.2, peak=4.0):
    """Start the first layers' heads as windows onto the tokens beside them.

    A BERT that starts from noise spends its first ten million tokens at the accuracy of a unigram model, until its heads
    have found that neighbours matter. Here the position embeddings are sinusoids in the last `width` dimensions, with
    `share` of the input's variance; word vectors keep to the others (their principal components, where given); and a
    head of offset o gets the rotation by o as its query map, so that token i attends to i + o. `peak` is the score that
    o has over its neighbours. All of it is a plain BERT's weights, and training may change every one.
    """
    import torch
    H, heads = cfg["hidden_size"], cfg["num_attention_heads"]
    d, content, f = H // heads, H - width, min(H // heads, width) // 2
    plan = [[-1, 1, -2, 2], [-1, 1, -3, 3], [-1, 1]]                    # layer -> offsets of its first heads
    with torch.no_grad():
        word = model.word.weight
        if vectors is not None:
            known = (vectors.abs().sum(1) > 0).nonzero()[:, 0]
            x = vectors[known] - vectors[known].mean(0)
            x = (x @ torch.linalg.svd(x, full_matrices=False)[2].T)[:, :content]
            word[known] = 0.0
            word[known, :x.shape[1]] = x * (0.04 / x.std())
        word[:, content:] = 0.0
        rates = torch.logspace(math.log10(2.5), -2, width // 2)
        angle = torch.arange(cfg["max_position_embeddings"])[:, None] * rates
        size = (share / (1 - share) * word[:, :content].pow(2).sum(1).mean() / (width / 2)).sqrt()
        model.position.weight.zero_()
        model.position.weight[:, content:] = size * torch.cat([angle.cos(), angle.sin()], 1)
        model.kind.weight.mul_(0.1)
        gain = (peak * d ** 0.5 / (H * share / (width / 2) * (1 - rates.cos()).sum())).sqrt()
        i, at_cos = torch.arange(f), content + torch.arange(f)
        at_sin = at_cos + width // 2
        for layer, offsets in zip(model.layers, plan):
            for head, offset in enumerate(offsets[:heads]):
                q, k = torch.randn(2, d, H) * 0.01
                c, s = gain * (rates[:f] * offset).cos(), gain * (rates[:f] * offset).sin()
                q[i, at_cos] += c; q[i, at_sin] -= s
                q[d // 2 + i, at_cos] += s; q[d // 2 + i, at_sin] += c
                k[i, at_cos] += gain; k[d // 2 + i, at_sin] += gain
                rows = slice(head * d, (head + 1) * d)
                layer.query.weight[rows], layer.key.weight[rows] = q, k
                layer.value.weight[rows] = torch.randn(d, H) * H ** -0.5
            layer.attn_out.weight.copy_(torch.randn(H, H) * 0.5 * H ** -0.5)


def hf_name(name):
    for ours, theirs in [("word.", "bert.embeddings.word_embeddings."), ("position.", "bert.embeddings.position_embeddings."),
                         ("kind.", "bert.embeddings.token_type_embeddings."), ("norm.", "bert.embeddings.LayerNorm."),
                         ("transform.", "cls.predictions.transform.dense."), ("transform_norm.", "cls.predictions.transform.LayerNorm."),
                         ("bias", "cls.predictions.bias")]:
        if name.startswith(ours) and not name.startswith("layers."):
            return theirs + name[len(ours):]
    _, i, part, leaf = name.split(".")
    return f"bert.encoder.layer.{i}." + {
        "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
        "attn_out": "attention.output.dense", "attn_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense", "down": "output.dense", "out_norm": "output.LayerNorm"}[part] + "." + leaf


# ---- train --------------------------------------------------------------------------------------------------------
class Muon:
    """Momentum whose update is orthogonalised by Newton-Schulz (Jordan et al. 2024), for the matrices of the layers.

    Updates are scaled to the root mean square of Adam's (Liu et al. 2025, "Muon is scalable for LLM training")."""

    def __init__(self, parameters, rate, precision, momentum=0.95, weight_decay=0.01):
        import torch
        self.rate, self.precision, self.momentum, self.weight_decay = rate, precision, momentum, weight_decay
        self.groups = {}
        for p in parameters:
            self.groups.setdefault(tuple(p.shape), []).append(p)
        self.buffers = {shape: torch.zeros(len(ps), *shape, device=ps[0].device) for shape, ps in self.groups.items()}

    def step(self, decay):
        import torch
        with torch.no_grad():
            for shape, params in self.groups.items():
                grad, buffer = torch.stack([p.grad for p in params]), self.buffers[shape]
                buffer.lerp_(grad, 1 - self.momentum)
                x = grad.lerp(buffer, self.momentum).to(self.precision)
                x = x.mT if shape[0] > shape[1] else x
                x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
                for _ in range(5):
                    a = x @ x.mT
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
                x = (x.mT if shape[0] > shape[1] else x).float()
                for p, update in zip(params, x):
                    p.mul_(1 - self.rate * decay * self.weight_decay)
                    p.add_(update, alpha=-self.rate * decay * 0.2 * max(shape) ** 0.5)


class Stream:
    """Random windows of an encoded text, masked by whole words."""

    def __init__(self, cache, vocab_size, hold_out=0):
        self.ids, self.starts = (np.load(Path(cache) / f"{n}.npy", mmap_mode="r") for n in ("ids", "starts"))
        self.vocab_size, self.end = vocab_size, len(self.ids) - hold_out

    def batch(self, rng, count, length, mask_rate, held_out=False):
        """ids (count, length), first positions (count), chosen flat indices and their true ids (-100: padding)."""
        low, high = (self.end, len(self.ids)) if held_out else (0, self.end)
        at = rng.integers(low, high - length, count)
        true = np.stack([np.concatenate(([CLS], self.ids[s:s + length - 1])) for s in at]).astype(np.int64)
        head = np.stack([np.concatenate(([1], self.starts[s:s + length - 1])) for s in at])
        chosen = np.take_along_axis(rng.random((count, length)), np.cumsum(head, 1) - 1, 1) < mask_rate
        chosen = np.flatnonzero(chosen & (true > MASK))
        size = int(count * length * mask_rate * 1.02)                   # fixed, so that the compiled step fits every batch
        chosen = np.sort(rng.permutation(chosen)[:size])
        target, at = np.full(size, -100), np.zeros(size, np.int64)
        target[:len(chosen)], at[:len(chosen)] = true.reshape(-1)[chosen], chosen
        seen, u = true.reshape(-1), rng.random(len(chosen))
        seen[chosen[u < 0.8]] = MASK
        swap = chosen[u > 0.9]
        seen[swap] = rng.integers(5, self.vocab_size, len(swap))
        first = rng.integers(0, 512 - length + 1, count)                # so that every position is learned
        first[rng.random(count) < 0.5] = 0
        return seen.reshape(count, length), first, at, target


def train(a):
    import torch, torch.nn.functional as F
    torch.manual_seed(a.seed)
    if a.threads:
        torch.set_num_threads(a.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    cpuinfo = Path("/proc/cpuinfo")                                     # without such products bfloat16 is the slower one
    bf16 = device == "cuda" or (cpuinfo.exists() and "avx512_bf16" in cpuinfo.read_text())
    vocab = read_vocab(a.vocab)
    cfg = dict(architectures=["BertForMaskedLM"], model_type="bert", vocab_size=len(vocab), hidden_size=a.hidden,
               num_hidden_layers=a.layers, num_attention_heads=a.heads, intermediate_size=a.intermediate, hidden_act="gelu",
               max_position_embeddings=512, type_vocab_size=2, layer_norm_eps=1e-12, pad_token_id=PAD,
               hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, initializer_range=0.02)
    out = Path(a.out); out.mkdir(parents=True, exist_ok=True)
    json.dump(cfg, open(out / "config.json", "w"), indent=1)
    general = Stream(a.cache, len(vocab), hold_out=300_000)
    domain = Stream(a.domain, len(vocab)) if a.domain else general

    model = build(cfg)
    if not a.from_noise:
        start_with_neighbours(model, cfg, torch.from_numpy(np.load(a.vectors).astype(np.float32)) if a.vectors else None)
    model.to(device)
    matrices = [p for name, p in model.named_parameters() if p.ndim > 1 and name.startswith("layers.")] if not a.adam else []
    others = [p for p in model.parameters() if all(p is not m for m in matrices)]
    adam = torch.optim.AdamW([dict(params=[p for p in others if p.ndim > 1], weight_decay=0.01),
                              dict(params=[p for p in others if p.ndim <= 1], weight_decay=0.0)],
                             lr=a.learning_rate, betas=(0.9, 0.98), eps=1e-6, fused=True)
    muon = Muon(matrices, a.matrix_rate, torch.bfloat16 if bf16 else torch.float32)
    step, tokens, spent = 0, 0, 0.0
    if a.resume and (out / "state.pt").exists():
        s = torch.load(out / "state.pt", map_location=device)
        model.load_state_dict(s["model"]); adam.load_state_dict(s["adam"]); muon.buffers = s["muon"]
        step, tokens, spent = s["step"], s["tokens"], s["spent"]
    rng = np.random.default_rng([a.seed, step])
    print(f"{device}, {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters", flush=True)

    def loss_of(ids, first, chosen, target):
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = model(ids, first, chosen)
            return F.cross_entropy(logits.float(), target, ignore_index=-100), logits

    compiled = torch.compile(loss_of, dynamic=False)
    to_device = lambda arrays: [torch.from_numpy(x).to(device, non_blocking=True) for x in arrays]
    held_out = [to_device(general.batch(np.random.default_rng(i), 32, 128, 0.15, held_out=True)) for i in range(24)]

    def masked_accuracy():
        hits = count = 0
        with torch.no_grad():
            for ids, first, chosen, target in held_out:
                known = target >= 0
                hits += (loss_of(ids, first, chosen, target)[1].argmax(1) == target)[known].sum().item()
                count += known.sum().item()
        return hits / count

    def save():
        torch.save(dict(model=model.state_dict(), adam=adam.state_dict(), muon=muon.buffers, step=step, tokens=tokens,
                        spent=time.time() - begin), out / "state.tmp")
        os.replace(out / "state.tmp", out / "state.pt")

    begin, last, losses = time.time() - spent, time.time(), []
    while tokens < a.million_tokens * 1e6:
        share = tokens / (a.million_tokens * 1e6)
        # a short rise, then a linear fall to nothing; the last part reads longer sequences
        rate = min(1, (step + 1) / a.warmup_steps) * min(1, (1 - share) / 0.85)
        length = 2 * a.length if share > 0.72 else a.length
        stream = domain if rng.random() < a.domain_share else general
        loss, _ = compiled(*to_device(stream.batch(rng, max(1, a.batch_tokens // length), length, a.mask_rate)))
        adam.zero_grad(set_to_none=True)
        for p in matrices:
            p.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for group in adam.param_groups:
            group["lr"] = a.learning_rate * rate
        adam.step()
        muon.step(rate)
        step, tokens = step + 1, tokens + a.batch_tokens
        losses.append(loss.detach())
        if time.time() - last > 120:
            last = time.time()
            print(f"{(last - begin) / 60:.1f} min, step {step}, {tokens / 1e6:.1f} M tokens, {tokens / (last - begin):.0f} tokens/s, "
                  f"loss {torch.stack(losses).mean().item():.3f}, held-out masked accuracy {masked_accuracy():.3f}", flush=True)
            losses = []
            save()
    save()
    print(f"done: {step} steps, {tokens / 1e6:.1f} M tokens, held-out masked accuracy {masked_accuracy():.4f}")


def export(a):
    import torch
    from safetensors.torch import save_file
    out = Path(a.out); out.mkdir(parents=True, exist_ok=True)
    state = torch.load(Path(a.run) / "state.pt", map_location="cpu")["model"]
    dtype = torch.float16 if a.half else torch.float32
    save_file({hf_name(k): v.to(dtype).contiguous() for k, v in state.items()}, out / "model.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text((Path(a.run) / "config.json").read_text())
    words = a.vocab.endswith(".json")
    (out / ("tokenizer.json" if words else "vocab.txt")).write_text(Path(a.vocab).read_text())
    how = dict(tokenizer_class="PreTrainedTokenizerFast") if words else \
        dict(tokenizer_class="BertTokenizer", do_lower_case=True, tokenize_chinese_chars=True, strip_accents=False)
    json.dump(how | dict(model_max_length=512, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]",
                         mask_token="[MASK]"), open(out / "tokenizer_config.json", "w"), indent=1)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(required=True)
    p = sub.add_parser("encode"); p.set_defaults(go=encode)
    p.add_argument("text", nargs="+"); p.add_argument("--vocab", required=True); p.add_argument("--out", required=True)
    p.add_argument("--processes", type=int, default=os.cpu_count())
    p = sub.add_parser("train"); p.set_defaults(go=train)
    for name, kind, default in [("hidden", int, 256), ("layers", int, 4), ("heads", int, 4), ("intermediate", int, 1024), ("million-tokens", float, 68), ("domain-share", float, 0.35),
                                ("length", int, 128), ("batch-tokens", int, 8192), ("learning-rate", float, 3e-3), ("matrix-rate", float, 4e-3), ("warmup-steps", int, 100),
                                ("mask-rate", float, 0.2), ("threads", int, 0), ("seed", int, 1), ("vectors", str, None)]:
        p.add_argument(f"--{name}", type=kind, default=default)
    p.add_argument("--cache", required=True); p.add_argument("--vocab", required=True); p.add_argument("--out", required=True)
    p.add_argument("--domain", help="the cache of the domain's own text, which gets --domain-share of the batches")
    p.add_argument("--resume", action="store_true")
    p.add_argument("--from-noise", action="store_true", help="start every weight from noise, to see what the start is worth")
    p.add_argument("--adam", action="store_true", help="AdamW for the matrices too, to see what Muon is worth")
    p = sub.add_parser("export"); p.set_defaults(go=export)
    p.add_argument("--run", required=True); p.add_argument("--vocab", required=True); p.add_argument("--out", required=True)
    p.add_argument("--half", action="store_true", help="store float16")
    a = ap.parse_args(); a.go(a)
