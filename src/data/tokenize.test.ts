/**
 * @file Tests of tokenize.ts: cut as Hugging Face's own library cuts (scripts/reference/texts.py), padded and typed as the
 * model's inputs want.
 */
import { Tokenizer } from "@huggingface/tokenizers";
import { expect, it } from "vitest";
import reference from "../../test/reference/texts.json" with { type: "json" };
import type { Port } from "../runtime/runtime.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { encodeText, limitOf, rulesOf, type TextRules, type TokenizerLike, textPorts, toInputs } from "./tokenize.ts";

const { wordPiece, bytePairs } = reference.tokenizers;
const make = (file: object, config: object = {}): TokenizerLike =>
  new Tokenizer(file, config) as unknown as TokenizerLike;

it.each([
  ["WordPiece", wordPiece, "right"],
  ["WordPiece", wordPiece, "left"],
  ["byte pairs", bytePairs, "right"],
  ["byte pairs", bytePairs, "left"],
] as const)("%s, cut on the right or left, equals tokenizers", (_, { file, ...cases }, side) => {
  const tokenizer = make(file);
  for (const { text, pair, maxLength, ids, types } of cases[side]) {
    const encoded = encodeText(tokenizer, text, pair ?? undefined, maxLength ?? undefined, side);
    expect({ text, pair, maxLength, ids: encoded.ids }).toEqual({ text, pair, maxLength, ids });
    expect(encoded.types).toEqual(types);
  }
});

const port = (name: string, dtype: Port["dtype"] = "int64", shape: Port["shape"] = ["batch", "sequence"]): Port => ({
  name,
  dtype,
  shape,
});
const RULES: TextRules = { padId: 7, padSide: "right", cutSide: "right", maxLength: undefined };
const TEXTS = [
  { ids: [1, 2, 3], types: [0, 0, 1] },
  { ids: [4], types: [0] },
];

it("makes what the model's inputs ask for, padded to the longest", () => {
  const ports = [
    port("input_ids"),
    port("attention_mask", "float32"),
    port("token_type_ids", "int32"),
    port("position_ids"),
  ];
  const inputs = toInputs(TEXTS, textPorts(ports, ""), RULES);
  expect(Object.entries(inputs).map(([name, tensor]) => [name, tensor.dtype, tensor.dims, tensor.numbers()])).toEqual([
    ["input_ids", "int64", [2, 3], [1, 2, 3, 4, 7, 7]],
    ["attention_mask", "float32", [2, 3], [1, 1, 1, 1, 0, 0]],
    ["token_type_ids", "int32", [2, 3], [0, 0, 1, 0, 0, 0]],
    ["position_ids", "int64", [2, 3], [0, 1, 2, 0, 0, 0]],
  ]);
  const left = toInputs(TEXTS, textPorts([port("input_ids")], ""), { ...RULES, padSide: "left" });
  expect(left["input_ids"]!.numbers()).toEqual([1, 2, 3, 7, 7, 4]);
});

it("pads to a length that the model fixes, and does not pad one text otherwise", () => {
  const fixed = textPorts([port("input_ids", "int64", [1, 5])], "");
  expect(toInputs([TEXTS[0]!], fixed, RULES)["input_ids"]!.numbers()).toEqual([1, 2, 3, 7, 7]);
  expect(toInputs([TEXTS[0]!], textPorts([port("ids", "int32")], ""), RULES)["ids"]!.dims).toEqual([1, 3]);
});

it("takes the limit from the user, the tokenizer, or the model", () => {
  const open = textPorts([port("input_ids")], "");
  const fixed = textPorts([port("input_ids", "int64", [1, 16])], "");
  expect(limitOf(undefined, RULES, open, "")).toBeUndefined();
  expect(limitOf(8, { ...RULES, maxLength: 512 }, open, "")).toBe(8);
  expect(limitOf(undefined, { ...RULES, maxLength: 512 }, open, "")).toBe(512);
  expect(limitOf(undefined, { ...RULES, maxLength: 512 }, fixed, "")).toBe(16);
  expect(limitOf(undefined, RULES, fixed, "")).toBe(16);
  expect(() => limitOf(32, RULES, fixed, "t.jsonl")).toThrow(OptionError);
});

it("reads the rules of the tokenizer's files", () => {
  const { file } = wordPiece;
  const tokenizer = make(file);
  expect(rulesOf(tokenizer, file as never, { pad_token: "[PAD]", model_max_length: 512 })).toEqual({
    padId: 0,
    padSide: "right",
    cutSide: "right",
    maxLength: 512,
  });
  const config = {
    pad_token: { content: "[SEP]" },
    padding_side: "left",
    truncation_side: "left",
    model_max_length: 1e30,
  };
  expect(rulesOf(tokenizer, file as never, config)).toEqual({
    padId: 3,
    padSide: "left",
    cutSide: "left",
    maxLength: undefined,
  });
  const saved = { ...file, truncation: { max_length: 64 }, padding: { direction: "Left", pad_token: "[MASK]" } };
  expect(rulesOf(tokenizer, saved as never, { model_max_length: 512 })).toMatchObject({
    padId: 4,
    padSide: "left",
    maxLength: 64,
  });
  // GPT-2 has no padding token.
  expect(rulesOf(make(bytePairs.file), {}, { eos_token: "<|endoftext|>" }).padId).toBe(0);
});

it.each<[readonly Port[], RegExp]>([
  [
    [port("input_ids"), port("past_key_values.0.key", "float32")],
    /input "past_key_values\.0\.key": .*got past.*record the feeds/,
  ],
  [[port("input_ids"), port("encoder_hidden_states", "float32")], /input "encoder_hidden_states"/],
  [[port("pixel_values", "float32")], /input "pixel_values": expected inputs that a text gives/],
  [[port("attention_mask"), port("position_ids")], /expected a model with an input "input_ids"/],
  [[port("input_ids", "int16")], /int64, int32, float32 or bool, got input_ids \(int16/],
  [[port("input_ids", "int64", [1, 2, 3])], /expected an input \[batch, sequence\]/],
])("says which input no text gives", (ports, message) => {
  expect(() => textPorts(ports, "t.jsonl")).toThrow(InputError);
  expect(() => textPorts(ports, "t.jsonl")).toThrow(message);
});
