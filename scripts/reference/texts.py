"""Reference data for src/data/tokenize.test.ts: small tokenizers, and how Hugging Face's own library cuts texts with them.

Needs tokenizers. Writes test/reference/texts.json, with its version inside:
    python3 scripts/reference/texts.py
"""

import json
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "Models become small and fast, and somebody proves it.",
    "Ein Satz mit Umlauten: schön, größer, über!",
    "numbers 1 22 333 4444 and (brackets) too",
]
TEXTS = [
    ("the quick brown fox", None),
    ("Models become small, models become fast", None),
    ("größer über alles, unknown ☃ snowman", None),
    ("", None),
    ("the quick brown fox jumps", "over the lazy dog"),
    ("dog", "the quick brown fox jumps over the lazy dog and over it again"),
    ("the quick brown fox jumps over the lazy dog and over it again", "dog"),
]
LENGTHS = [None, 3, 5, 8, 9, 16]


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    return tokenizer


def byte_pairs() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet),
    )
    return tokenizer


def cases(tokenizer: Tokenizer, direction: str) -> list:
    rows = []
    for length in LENGTHS:
        tokenizer.no_truncation()
        if length is not None:
            tokenizer.enable_truncation(length, direction=direction)
        for text, pair in TEXTS:
            encoding = tokenizer.encode(text, pair)
            rows.append({"text": text, "pair": pair, "maxLength": length, "ids": encoding.ids, "types": encoding.type_ids})
    tokenizer.no_truncation()
    return rows


result = {"versions": {"tokenizers": tokenizers.__version__}, "tokenizers": {}}
for name, make in (("wordPiece", word_piece), ("bytePairs", byte_pairs)):
    tokenizer = make()
    result["tokenizers"][name] = {
        "right": cases(tokenizer, "right"),
        "left": cases(tokenizer, "left"),
        "file": json.loads(tokenizer.to_str()),
    }
path = Path(__file__).parents[2] / "test/reference/texts.json"
path.write_text(json.dumps(result, ensure_ascii=False) + "\n")
print(path.stat().st_size, "bytes")
