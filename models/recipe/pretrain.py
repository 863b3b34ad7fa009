#!/usr/bin/env python3
"""Pretrain a small Chinese BERT by masked language modelling, on a CPU or one GPU.

    python pretrain.py encode  --vocab vocab.txt --out cache  text.txt.xz …
    python pretrain.py train   --cache cache --vocab vocab.txt --minutes 90 --out run   [--hidden 256 --layers 4 ...]
    python pretrain.py export  --run run --vocab vocab.txt --out hf        # Hugging Face layout: BertForMaskedLM

`encode` turns text (one paragraph a line, .txt or .txt.xz) into token ids and word starts. With jieba installed,
masks cover whole words; without it, pairs of characters.
`train` packs the ids into sequences, masks 20 % (80/10/10), and stops at the time limit with a linear decay that
ends there; the last tenth of the time uses long sequences so that late positions are trained. It checkpoints every
minute and `--resume` goes on. Needs: torch, numpy; jieba if wanted; safetensors for `export`.
"""
import argparse, json, lzma, multiprocessing as mp, os, re, time
from pathlib import Path
import numpy as np

PAD, UNK, CLS, SEP, MASK = range(5)
LATIN = re.compile(r"[a-z0-9]+")


def read_vocab(path):
    return [line.rstrip("\n") for line in open(path, encoding="utf-8")]


# ---- encode -----------------------------------------------------------------------------------------------------
def _init_worker(vocab_path):
    global VOCAB, CUT, CACHE
    VOCAB = {t: i for i, t in enumerate(read_vocab(vocab_path))}
    CACHE = {}
    try:
        import jieba, logging
        jieba.setLogLevel(logging.ERROR)
        jieba.initialize()
        CUT = lambda s: jieba.cut(s, HMM=False)
    except ImportError:
        CUT = lambda s: re.findall(r"[a-z0-9]+|[\u3400-\u9fff]{1,2}|\S", s)


def _wordpiece(word):
    ids = CACHE.get(word)
    if ids is None:
        ids, i = [], 0
        while i < len(word):
            j = len(word)
            while j > i and (("##" if i else "") + word[i:j]) not in VOCAB:
                j -= 1
            if j == i:
                ids = [UNK]
                break
            ids.append(VOCAB[("##" if i else "") + word[i:j]])
            i = j
        if len(CACHE) < 200_000:
            CACHE[word] = ids
    return ids


def _encode_chunk(lines):
    ids, starts = [], []
    for line in lines:
        n = len(ids)
        for word in CUT(line.strip().lower()):
            if word.isspace():
                continue
            pieces = _wordpiece(word) if LATIN.fullmatch(word) else [VOCAB.get(c, UNK) for c in word if not c.isspace()]
            ids += pieces
            starts += [True] + [False] * (len(pieces) - 1) if pieces else []
        if len(ids) - n < 4:
            del ids[n:], starts[n:]
        else:
            ids.append(SEP)
            starts.append(True)
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
    H, I = cfg["hidden_size"], cfg["intermediate_size"]
    norm = lambda: nn.LayerNorm(H, eps=cfg["layer_norm_eps"])

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.query, self.key, self.value, self.attn_out = (nn.Linear(H, H) for _ in range(4))
            self.attn_norm, self.up, self.down, self.out_norm = norm(), nn.Linear(H, I), nn.Linear(I, H), norm()

        def forward(self, x):                                           # (batch, seq, hidden)
            b, n, _ = x.shape
            heads = lambda t: t.view(b, n, cfg["num_attention_heads"], -1).transpose(1, 2)
            ctx = F.scaled_dot_product_attention(heads(self.query(x)), heads(self.key(x)), heads(self.value(x)))
            x = self.attn_norm(x + self.attn_out(ctx.transpose(1, 2).reshape(b, n, H)))
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

        def forward(self, ids, chosen):                                 # logits of the chosen positions only
            x = self.norm(self.word(ids) + self.position.weight[: ids.shape[1]] + self.kind.weight[0])
            for layer in self.layers:
                x = layer(x)
            h = self.transform_norm(F.gelu(self.transform(x[chosen])))
            return h @ self.word.weight.T + self.bias

    return MaskedLM()


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
def train(a):
    import torch, torch.nn.functional as F
    torch.manual_seed(a.seed)
    if a.threads:
        torch.set_num_threads(a.threads)
    rng = np.random.default_rng(a.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ids, starts = (np.load(Path(a.cache) / f"{n}.npy", mmap_mode="r") for n in ("ids", "starts"))
    vocab = read_vocab(a.vocab)
    cfg = dict(architectures=["BertForMaskedLM"], model_type="bert", vocab_size=len(vocab), hidden_size=a.hidden,
               num_hidden_layers=a.layers, num_attention_heads=a.heads, intermediate_size=a.intermediate, hidden_act="gelu",
               max_position_embeddings=512, type_vocab_size=2, layer_norm_eps=1e-12, pad_token_id=PAD,
               hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, initializer_range=0.02)
    out = Path(a.out); out.mkdir(parents=True, exist_ok=True)
    json.dump(cfg, open(out / "config.json", "w"), indent=1)
    model = build(cfg).to(device)
    if a.vectors:                                                       # (vocab, hidden) start for the word embeddings
        v = torch.from_numpy(np.load(a.vectors).astype(np.float32)).to(device)
        known = v.abs().sum(1) > 0
        with torch.no_grad():
            model.word.weight[known] = v[known] * (0.04 / v[known].std())
    groups = [dict(params=[p for p in model.parameters() if p.ndim > 1], weight_decay=0.01),
              dict(params=[p for p in model.parameters() if p.ndim <= 1], weight_decay=0.0)]
    opt = torch.optim.AdamW(groups, lr=a.learning_rate, betas=(0.9, 0.98), eps=1e-6)
    step, tokens, spent = 0, 0, 0.0
    if a.resume and (out / "state.pt").exists():
        s = torch.load(out / "state.pt", map_location=device)
        model.load_state_dict(s["model"]); opt.load_state_dict(s["opt"])
        step, tokens, spent = s["step"], s["tokens"], s["spent"]
    print(f"{device}, {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters", flush=True)

    def batch(count, length):
        at = rng.integers(0, len(ids) - length, count)
        true = np.stack([np.concatenate(([CLS], ids[s:s + length - 1])) for s in at]).astype(np.int64)
        head = np.stack([np.concatenate(([1], starts[s:s + length - 1])) for s in at])
        chosen = np.take_along_axis(rng.random((count, length)), np.cumsum(head, 1) - 1, 1) < a.mask_rate
        chosen &= true > MASK
        seen, u = true.copy(), rng.random((count, length))
        seen[chosen & (u < 0.8)] = MASK
        swap = chosen & (u > 0.9)
        seen[swap] = rng.integers(5, len(vocab), swap.sum())
        return [torch.from_numpy(x).to(device, non_blocking=True) for x in (seen, chosen, true)]

    model.train()
    begin, last, loss_avg, acc_avg, seen_steps = time.time() - spent, time.time(), 0.0, 0.0, 0
    while (share := (time.time() - begin) / (a.minutes * 60)) < 1:
        for g in opt.param_groups:
            g["lr"] = a.learning_rate * min(1, (step + 1) / a.warmup_steps) * max(0.02, 1 - share)
        length = a.length if share < 0.9 else 4 * a.length
        seen, chosen, true = batch(max(1, a.batch_tokens // length), length)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda" or a.bf16):
            logits = model(seen, chosen)
            loss = F.cross_entropy(logits.float(), true[chosen])
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        step, tokens, seen_steps = step + 1, tokens + seen.numel(), seen_steps + 1
        if seen_steps % 10 == 0:
            loss_avg = 0.9 * loss_avg + 0.1 * loss.item() if seen_steps > 10 else loss.item()
            hit = (logits.argmax(1) == true[chosen]).float().mean().item()
            acc_avg = 0.9 * acc_avg + 0.1 * hit if seen_steps > 10 else hit
        if time.time() - last > 60:
            last = time.time()
            print(f"{(last - begin) / 60:.1f} min, step {step}, {tokens / 1e6:.1f} M tokens, {tokens / (last - begin):.0f} tokens/s, "
                  f"loss {loss_avg:.3f}, masked accuracy {acc_avg:.3f}", flush=True)
            torch.save(dict(model=model.state_dict(), opt=opt.state_dict(), step=step, tokens=tokens, spent=last - begin), out / "state.tmp")
            os.replace(out / "state.tmp", out / "state.pt")
    torch.save(dict(model=model.state_dict(), opt=opt.state_dict(), step=step, tokens=tokens, spent=time.time() - begin), out / "state.pt")
    print(f"done: {step} steps, {tokens / 1e6:.1f} M tokens, loss {loss_avg:.3f}, masked accuracy {acc_avg:.3f}")


def export(a):
    import torch
    from safetensors.torch import save_file
    out = Path(a.out); out.mkdir(parents=True, exist_ok=True)
    state = torch.load(Path(a.run) / "state.pt", map_location="cpu")["model"]
    dtype = torch.float16 if a.half else torch.float32
    save_file({hf_name(k): v.to(dtype).contiguous() for k, v in state.items()}, out / "model.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text((Path(a.run) / "config.json").read_text())
    (out / "vocab.txt").write_text(Path(a.vocab).read_text())
    json.dump(dict(tokenizer_class="BertTokenizer", do_lower_case=True, tokenize_chinese_chars=True, strip_accents=False, model_max_length=512,
                   unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]"),
              open(out / "tokenizer_config.json", "w"), indent=1)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(required=True)
    p = sub.add_parser("encode"); p.set_defaults(go=encode)
    p.add_argument("text", nargs="+"); p.add_argument("--vocab", required=True); p.add_argument("--out", required=True)
    p.add_argument("--processes", type=int, default=os.cpu_count())
    p = sub.add_parser("train"); p.set_defaults(go=train)
    for name, kind, default in [("hidden", int, 256), ("layers", int, 4), ("heads", int, 4), ("intermediate", int, 1024), ("minutes", float, 90),
                                ("length", int, 128), ("batch-tokens", int, 8192), ("learning-rate", float, 1e-3), ("warmup-steps", int, 200),
                                ("mask-rate", float, 0.2), ("threads", int, 0), ("seed", int, 1), ("vectors", str, None)]:
        p.add_argument(f"--{name}", type=kind, default=default)
    p.add_argument("--cache", required=True); p.add_argument("--vocab", required=True); p.add_argument("--out", required=True)
    p.add_argument("--resume", action="store_true")
    p.add_argument("--bf16", action="store_true", help="bfloat16 products on a CPU that has them (twice as fast with AVX512-BF16 or AMX)")
    p = sub.add_parser("export"); p.set_defaults(go=export)
    p.add_argument("--run", required=True); p.add_argument("--vocab", required=True); p.add_argument("--out", required=True)
    p.add_argument("--half", action="store_true", help="store float16")
    a = ap.parse_args(); a.go(a)
