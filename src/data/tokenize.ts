/**
 * @file Texts as a model's inputs: tokens, cut and padded as Hugging Face's tokenizers do it. The tokenizer itself is
 * passed in. Source of the truncation: tokenizers, src/utils/truncation.rs (LongestFirst).
 */
import type { Port } from "../runtime/runtime.ts";
import type { Sample } from "../step/data.ts";
import { Tensor, type TensorData } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { describePort } from "./source.ts";

/** The parts of @huggingface/tokenizers' Tokenizer that are used. */
export interface TokenizerLike {
  tokenize(text: string, options: { readonly add_special_tokens: boolean }): string[];
  token_to_id(token: string): number | undefined;
  readonly model: { readonly unk_token_id?: number } | null;
  readonly post_processor:
    | ((
        tokens: string[],
        pair: string[] | null,
        addSpecialTokens: boolean,
      ) => { readonly tokens: string[]; readonly token_type_ids?: readonly number[] })
    | null;
}

type Json = Readonly<Record<string, unknown>>;

/** What tokenizer.json and tokenizer_config.json say beside the vocabulary. */
export interface TextRules {
  readonly padId: number;
  readonly padSide: "left" | "right";
  readonly cutSide: "left" | "right";
  /** Tokens after which texts are cut; undefined where nobody says. */
  readonly maxLength: number | undefined;
}

/** transformers writes 1e30 for "no limit". */
const NO_LIMIT = 1e9;

/** Reads the rules. */
export function rulesOf(tokenizer: TokenizerLike, file: Json, config: Json): TextRules {
  const padding = (file["padding"] ?? {}) as Json;
  const truncation = (file["truncation"] ?? {}) as Json;
  const side = (value: unknown): "left" | "right" => (String(value).toLowerCase() === "left" ? "left" : "right");
  const tokenOf = (value: unknown): string | undefined =>
    typeof value === "string" ? value : ((value as { content?: string } | null | undefined)?.content ?? undefined);
  const named = [config["pad_token"], padding["pad_token"], config["eos_token"]].map(tokenOf);
  const padId = named.map((token) => (token === undefined ? undefined : tokenizer.token_to_id(token)));
  const limits = [truncation["max_length"], config["model_max_length"]];
  return {
    padId: padId.find((id) => id !== undefined) ?? 0,
    padSide: side(config["padding_side"] ?? padding["direction"]),
    cutSide: side(config["truncation_side"] ?? truncation["direction"]),
    maxLength: limits.find((value): value is number => typeof value === "number" && value < NO_LIMIT),
  };
}

/** Ids and types of one text, or of two joined. */
export interface Encoded {
  readonly ids: readonly number[];
  readonly types: readonly number[];
}

/** @param maxLength tokens with the special ones; undefined: no limit. */
export function encodeText(
  tokenizer: TokenizerLike,
  text: string,
  pair: string | undefined,
  maxLength: number | undefined,
  cutSide: "left" | "right",
): Encoded {
  const first = tokenizer.tokenize(text, { add_special_tokens: false });
  const second = pair !== undefined ? tokenizer.tokenize(pair, { add_special_tokens: false }) : undefined;
  const whole = join(tokenizer, first, second);
  if (maxLength === undefined || whole.ids.length <= maxLength) return whole;
  // Special tokens stay: the texts are cut before they are added.
  const special = whole.ids.length - first.length - (second?.length ?? 0);
  const [keep, keepSecond] = keptLengths(first.length, second?.length, Math.max(maxLength - special, 0));
  const cut = (tokens: string[], count: number): string[] =>
    cutSide === "right" ? tokens.slice(0, count) : tokens.slice(tokens.length - count);
  return join(tokenizer, cut(first, keep), second && cut(second, keepSecond));
}

/** Adds the special tokens, and looks up the ids. */
function join(tokenizer: TokenizerLike, first: string[], second: string[] | undefined): Encoded {
  const joined = tokenizer.post_processor?.(first, second ?? null, true);
  // The package's byte-level processor forgets the second text.
  const complete = joined !== undefined && joined.tokens.length >= first.length + (second?.length ?? 0);
  const tokens = complete ? joined.tokens : [...first, ...(second ?? [])];
  const ids = tokens.map((token) => tokenizer.token_to_id(token) ?? tokenizer.model?.unk_token_id ?? 0);
  const types = complete ? joined.token_type_ids : tokens.map((_, index) => (index < first.length ? 0 : 1));
  return { ids, types: types ?? ids.map(() => 0) };
}

/** How much of each text stays when the longer one is cut first. */
function keptLengths(first: number, second: number | undefined, room: number): readonly [number, number] {
  if (second === undefined) return [Math.min(first, room), 0];
  if (first + second <= room) return [first, second];
  let [short, long] = first <= second ? [first, second] : [second, first];
  long = short > room ? short : Math.max(short, room - short);
  if (short + long > room) {
    short = Math.floor(room / 2);
    long = short + (room % 2);
  }
  return first <= second ? [short, long] : [long, short];
}

/** Inputs that come from a text. */
const MAKERS = ["input_ids", "attention_mask", "token_type_ids", "position_ids"] as const;
type Maker = (typeof MAKERS)[number];

/** Which of the model's inputs get what. */
export interface TextPorts {
  readonly ports: readonly { readonly port: Port; readonly maker: Maker }[];
  /** The sequence length that the model fixes. */
  readonly length: number | undefined;
}

const ARRAYS = {
  int64: (values: readonly number[]): TensorData => BigInt64Array.from(values, BigInt),
  int32: (values: readonly number[]): TensorData => Int32Array.from(values),
  float32: (values: readonly number[]): TensorData => Float32Array.from(values),
  bool: (values: readonly number[]): TensorData => Uint8Array.from(values),
} as const;

const area = "data";

/**
 * Finds out what each input is. A model with one input of integers gets the ids there, whatever it is called.
 * @throws InputError naming an input that no text gives.
 */
export function textPorts(ports: readonly Port[], subject: string): TextPorts {
  const named = ports.map((port) => {
    const only = ports.length === 1 && (port.dtype === "int64" || port.dtype === "int32");
    const maker = MAKERS.find((name) => name === port.name) ?? (only ? "input_ids" : undefined);
    const problem =
      maker === undefined
        ? `expected inputs that a text gives (${MAKERS.join(", ")}), got ${describePort(port)}`
        : port.dtype === undefined || !(port.dtype in ARRAYS)
          ? `expected an input of int64, int32, float32 or bool, got ${describePort(port)}`
          : port.shape !== undefined && port.shape.length !== 2
            ? `expected an input [batch, sequence], got ${describePort(port)}`
            : undefined;
    if (maker === undefined || problem !== undefined) {
      throw new InputError({
        area,
        subject: `${subject}: input "${port.name}"`,
        problem: problem!,
        help: "Write a module that gives all inputs, or record the feeds of your application (docs/data.md).",
      });
    }
    return { port, maker };
  });
  if (!named.some(({ maker }) => maker === "input_ids")) {
    const problem = `expected a model with an input "input_ids", got ${ports.map(describePort).join(", ") || "no inputs"}`;
    throw new InputError({ area, subject, problem, help: "Is it a model of texts?" });
  }
  const lengths = named.map(({ port }) => port.shape?.[1]).filter((dim) => typeof dim === "number" && dim > 0);
  return { ports: named, length: lengths[0] as number | undefined };
}

/** The limit of a text's length: the user's, else the tokenizer's, never more than the model's. */
export function limitOf(
  given: number | undefined,
  rules: TextRules,
  ports: TextPorts,
  subject: string,
): number | undefined {
  if (given !== undefined && ports.length !== undefined && given > ports.length) {
    throw new OptionError({
      area,
      subject: `${subject}: maxLength`,
      problem: `expected at most ${ports.length} tokens, which the model's inputs have, got ${given}`,
    });
  }
  const limit = given ?? rules.maxLength;
  return ports.length === undefined ? limit : Math.min(limit ?? ports.length, ports.length);
}

/**
 * Texts as one sample [texts, tokens]: padded to the longest, or to the length that the model fixes.
 */
export function toInputs(texts: readonly Encoded[], { ports, length }: TextPorts, rules: TextRules): Sample["inputs"] {
  const longest = length ?? texts.reduce((most, { ids }) => Math.max(most, ids.length), 0);
  const rows: Readonly<Record<Maker, (text: Encoded) => readonly number[]>> = {
    input_ids: ({ ids }) => ids,
    attention_mask: ({ ids }) => ids.map(() => 1),
    token_type_ids: ({ types }) => types,
    position_ids: ({ ids }) => ids.map((_, index) => index),
  };
  return Object.fromEntries(
    ports.map(({ port, maker }) => {
      const values = texts.flatMap((text) => {
        const row = rows[maker](text);
        const padding = new Array<number>(longest - row.length).fill(maker === "input_ids" ? rules.padId : 0);
        return rules.padSide === "left" ? [...padding, ...row] : [...row, ...padding];
      });
      const dtype = port.dtype as keyof typeof ARRAYS;
      return [port.name, Tensor.of(dtype, [texts.length, longest], ARRAYS[dtype](values))];
    }),
  );
}
