#!/usr/bin/env python3
"""The domain's own text for pretraining, out of labelled rows: a line each for title, text and reply.

    python domain_text.py --held-out gov.dev.jsonl petition7.dev.jsonl --out domain.txt gov.train.jsonl petition7.train.jsonl

Rows whose id or words are among the held-out ones are left out, and so are words that came before. 繁體 becomes 简体.
Needs: opencc-python-reimplemented.
"""
import argparse, json, re, unicodedata
import opencc

KEY_CHARS = 200                                                         # of two copies one may be cut short


def plain(words):
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", words or "")).strip()


def rows(paths):
    for path in paths:
        with open(path, encoding="utf-8") as file:
            yield from map(json.loads, file)


ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("files", nargs="+"); ap.add_argument("--held-out", nargs="+", required=True); ap.add_argument("--out", required=True)
a = ap.parse_args()
to_simplified = opencc.OpenCC("t2s").convert
barred = set()
for row in rows(a.held_out):
    barred |= {row["id"], plain(row["text"])[:KEY_CHARS]}
count = 0
with open(a.out, "w", encoding="utf-8") as out:
    for row in rows(a.files):
        text = plain(row["text"])
        if row["id"] in barred or text[:KEY_CHARS] in barred:
            continue
        barred.add(text[:KEY_CHARS])
        count += 1
        for words in (plain(row.get("title")), text, plain(row.get("reply"))):
            if words:
                out.write(to_simplified(words) + "\n")
print(f"{count:,} rows")
