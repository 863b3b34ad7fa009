#!/usr/bin/env python3
"""Words for the encoder: a vocabulary of them, and vectors that know which of them go together.

    python words.py vocabulary --characters characters.txt --out tokenizer.json everyday.txt.xz/4 edited.txt.xz/12*0.6 domain.txt/2*2
    python words.py vectors --tokenizer tokenizer.json --out vectors.npy cache domain domain

`vocabulary` counts the words that jieba finds (of `FILE/N*W` every N-th line, which counts W times) and writes a unigram
model (Kudo, "Subword Regularization", 2018) of all characters and the most frequent words: a text is cut where the
pieces together are likeliest, and a rare word into its characters.
`vectors` learns skip-gram vectors (Mikolov et al., 2013) of the pieces from what `pretrain.py encode` wrote.
Needs: tokenizers, numpy; jieba (`vocabulary`), gensim (`vectors`).
"""
import argparse, collections, json, lzma, math, multiprocessing, re, unicodedata
from pathlib import Path
import numpy as np

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SEP = SPECIAL.index("[SEP]")
HAN_WORD = re.compile(r"[\u3400-\u9fff]{2,6}$")
LATIN = re.compile(r"[a-z]{2,10}|[0-9]{2,4}")


# ---- vocabulary -------------------------------------------------------------------------------------------------
def count_lines(lines):
    import jieba, logging
    jieba.setLogLevel(logging.ERROR)
    counts = collections.Counter()
    for line in lines:
        counts.update(jieba.cut(unicodedata.normalize("NFKC", line.strip()).lower(), HMM=False))
    return counts


def blocks(path, every, size=5_000):
    block = []
    with (lzma.open if path.endswith(".xz") else open)(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            if number % every == 0:
                block.append(line)
            if len(block) == size:
                yield block
                block = []
    yield block


def vocabulary(a):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    words = collections.Counter()
    with multiprocessing.Pool() as pool:
        for text in a.text:
            path, every, weight = re.fullmatch(r"(.+?)(?:/(\d+))?(?:\*([\d.]+))?", text).groups()
            for counts in pool.imap(count_lines, blocks(path, int(every or 1))):
                for word, count in counts.items():
                    words[word] += count * float(weight or 1)
    characters = [piece for piece in Path(a.characters).read_text(encoding="utf-8").split("\n") if len(piece) == 1]
    latin = collections.Counter()
    for word, count in words.items():
        for part in LATIN.findall(word):
            latin[part] += count
    pieces = characters + [part for part, _ in latin.most_common(a.latin)]
    frequent = sorted((-count, word) for word, count in words.items() if HAN_WORD.match(word))
    pieces += [word for _, word in frequent[:a.size - len(SPECIAL) - len(pieces)]]
    # a word that is no piece is read as its characters
    known, counts = set(pieces), collections.Counter()
    for word, count in words.items():
        for piece in [word] if word in known else word:
            counts[piece] += count if piece in known else 0
    total = sum(counts.values())
    scored = [(token, 0.0 if i == 0 else -30.0) for i, token in enumerate(SPECIAL)]
    scored += [(piece, math.log((counts[piece] + 0.5) / total)) for piece in pieces]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=SPECIAL.index("[UNK]"), byte_fallback=False))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", SEP), ("[CLS]", SPECIAL.index("[CLS]")))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(a.out, pretty=False)
    print(f"{len(scored):,} pieces, {len(characters):,} of them characters")


# ---- vectors ----------------------------------------------------------------------------------------------------
class Lines:
    """The lines of encoded texts, as words of gensim."""

    def __init__(self, caches):
        self.texts = [np.load(Path(cache) / "ids.npy") for cache in caches]

    def __iter__(self):
        for ids in self.texts:
            start = 0
            for end in np.flatnonzero(ids == SEP):
                if end - start > 3:
                    yield [str(piece) for piece in ids[start:end]]
                start = end + 1


def vectors(a):
    from gensim.models import Word2Vec
    from tokenizers import Tokenizer
    lines = Lines(a.cache)
    model = Word2Vec(lines, vector_size=a.width, window=6, negative=5, sg=1, min_count=5, sample=1e-4, epochs=1, alpha=0.05,
                     min_alpha=0.002, seed=1, batch_words=20_000, workers=multiprocessing.cpu_count())
    out = np.zeros((Tokenizer.from_file(a.tokenizer).get_vocab_size(), a.width), np.float16)
    for piece, row in model.wv.key_to_index.items():
        out[int(piece)] = model.wv.vectors[row]
    np.save(a.out, out)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(required=True)
    p = sub.add_parser("vocabulary"); p.set_defaults(go=vocabulary)
    p.add_argument("text", nargs="+", metavar="FILE[/N][*W]"); p.add_argument("--out", required=True)
    p.add_argument("--characters", required=True, help="a vocabulary whose characters become pieces, one a line")
    p.add_argument("--size", type=int, default=16_384); p.add_argument("--latin", type=int, default=400)
    p = sub.add_parser("vectors"); p.set_defaults(go=vectors)
    p.add_argument("cache", nargs="+"); p.add_argument("--tokenizer", required=True); p.add_argument("--out", required=True)
    p.add_argument("--width", type=int, default=256)
    a = ap.parse_args(); a.go(a)
