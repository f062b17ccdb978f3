#!/usr/bin/env python3
"""Writes `texts/`: small tokenizers, trained on a few sentences, lines of text, and what `tokenizers` makes of them.

    pip install tokenizers==0.23.3
    python make_texts.py

`tests/suite/samples/texts.rs` compares.
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent / "texts"
LINES = [
    "A quantized model is smaller than a float one.",
    "Samples tell what values lie between its layers; numbers like 12.5 too.",
    "Größe, naïve façade: letters that are not ASCII. 日本",
    "short",
    "a much longer line " * 6,
]


def main():
    """Writes all files."""
    HERE.mkdir(exist_ok=True)
    pieces = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    pieces.normalizer = normalizers.BertNormalizer()
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    pieces.train_from_iterator(LINES, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    ids = [(name, pieces.token_to_id(name)) for name in ["[SEP]", "[CLS]"]]
    pieces.post_processor = processors.BertProcessing(*ids)
    pairs = Tokenizer(models.BPE())
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pairs.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    pairs.train_from_iterator(LINES, trainer)
    (HERE / "lines.txt").write_text("\n\n".join(LINES) + "\n", encoding="utf-8")
    expected = {}
    for name, tokenizer in {"pieces": pieces, "pairs": pairs}.items():
        tokenizer.save(str(HERE / f"{name}.json"), pretty=False)
        tokenizer.no_truncation(), tokenizer.no_padding()
        open_ended = [tokenizer.encode(line.strip()) for line in LINES]
        tokenizer.enable_truncation(16)
        pad = {"pieces": "[PAD]", "pairs": "<|endoftext|>"}[name]
        tokenizer.enable_padding(length=16, pad_id=tokenizer.token_to_id(pad), pad_token=pad)
        fixed = [tokenizer.encode(line.strip()) for line in LINES]
        lists = lambda encodings: [{"ids": it.ids, "mask": it.attention_mask, "types": it.type_ids} for it in encodings]
        expected[name] = {"open": lists(open_ended), "fixed": lists(fixed)}
    (HERE / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main()
