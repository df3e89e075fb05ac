/**
 * @file Texts in a file, one a line (JSON Lines or plain), through a Hugging Face tokenizer. Read line by line.
 */
import { statSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import type { Port } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { InputError, messageOf, OptionError, UnsupportedError } from "../util/errors.ts";
import { fromItems } from "./combine.ts";
import { besideModel, readJson, readText } from "./files-node.ts";
import { parseClasses } from "./labels.ts";
import { indexLines } from "./lines-node.ts";
import type { LoadSpec } from "./load-spec.ts";
import {
  type Encoded,
  encodeText,
  limitOf,
  rulesOf,
  type TextRules,
  type TokenizerLike,
  textPorts,
  toInputs,
} from "./tokenize.ts";

export const TEXT_EXTENSIONS = [".jsonl", ".ndjson", ".txt"];

const area = "data";

export interface TextSource extends DataSource {
  /** One sample of several texts, padded to the longest. */
  readonly collate: (samples: readonly Sample[]) => Sample;
  readonly classes?: readonly string[];
}

/**
 * Opens texts.
 * @throws InputError, OptionError where the file has no texts, or the model takes something else; while iterating, naming
 * the line. UnsupportedError where the tokenizer's package is not installed, or does not know the tokenizer.
 */
export async function openTexts(path: string, ports: readonly Port[], spec: LoadSpec): Promise<TextSource> {
  const subject = basename(path);
  const place = spec.tokenizer ?? besideModel(spec.model, "tokenizer.json");
  if (place === undefined) {
    throw new OptionError({
      area,
      subject: path,
      problem: "expected a tokenizer for texts, got none",
      help: "Give the model's tokenizer.json, or its folder, with --tokenizer (API: tokenizer).",
    });
  }
  const wanted = textPorts(ports, subject);
  const { tokenizer, rules, file } = await loadTokenizer(place);
  const classes = spec.classes === undefined ? undefined : parseClasses(await readText(spec.classes), spec.classes);
  const maxLength = limitOf(spec.maxLength, rules, wanted, subject);
  const lines = indexLines(path);
  if (lines.length === 0) {
    const help = 'Write one text a line: {"text": "…"}.';
    throw new InputError({ area, subject: path, problem: "expected lines of text, got an empty file", help });
  }
  // A sample's text before it is padded: batches are made of these.
  const encodings = new WeakMap<Sample, Encoded>();
  const plain = extname(path).toLowerCase() === ".txt";
  const tokens = maxLength === undefined ? "no limit of tokens" : `at most ${maxLength} tokens`;
  return {
    ...fromItems(`${subject} (${lines.length} texts; ${basename(file)}, ${tokens})`, lines.length, async (index) => {
      const { text, line } = lines.read(index);
      const entry = plain
        ? { text, pair: undefined, label: undefined }
        : parseLine(text, spec, `${path}, line ${line}`);
      const encoded = encodeText(tokenizer, entry.text, entry.pair, maxLength, rules.cutSide);
      if (encoded.ids.length === 0) {
        const help = "Take the line out.";
        throw new InputError({ area, subject: `${path}, line ${line}`, problem: "expected a text, got none", help });
      }
      const label = classIndex(entry.label, classes, `${path}, line ${line}`);
      const sample = { inputs: toInputs([encoded], wanted, rules), ...(label !== undefined && { label }) };
      encodings.set(sample, encoded);
      return sample;
    }),
    collate(samples) {
      const labelled = samples.some(({ label }) => label !== undefined);
      return {
        inputs: toInputs(
          samples.map((sample) => encodings.get(sample)!),
          wanted,
          rules,
        ),
        ...(labelled && { label: samples.map(({ label }) => label) }),
      };
    },
    classes,
  };
}

interface Entry {
  readonly text: string;
  readonly pair: string | undefined;
  readonly label: unknown;
}

function parseLine(line: string, spec: LoadSpec, subject: string): Entry {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    const help = 'Write one JSON value a line: {"text": "…"}, or "…". Plain text goes into a .txt file.';
    throw new InputError({ area, subject, problem: `expected JSON, got: ${messageOf(cause)}`, help, cause });
  }
  if (typeof json === "string") return { text: json, pair: undefined, label: undefined };
  const entry = (json !== null && typeof json === "object" ? json : {}) as Readonly<Record<string, unknown>>;
  const { textField = "text", pairField = "text_pair", labelField = "label" } = spec;
  const text = entry[textField];
  const pair = entry[pairField] ?? undefined;
  const wrong = typeof text !== "string" ? textField : pair !== undefined && typeof pair !== "string" ? pairField : "";
  if (wrong !== "") {
    const has = Array.isArray(json) ? "an array" : `keys ${Object.keys(entry).join(", ") || "none"}`;
    throw new InputError({
      area,
      subject,
      problem: `expected a text at "${wrong}", got ${wrong in entry ? JSON.stringify(entry[wrong])?.slice(0, 40) : has}`,
      help: "Say which key it has with --text-field.",
    });
  }
  return { text: text as string, pair: pair as string | undefined, label: entry[labelField] };
}

function classIndex(label: unknown, classes: readonly string[] | undefined, subject: string): unknown {
  if (classes === undefined || typeof label !== "string") return label;
  const index = classes.indexOf(label);
  if (index >= 0) return index;
  throw new InputError({ area, subject, problem: `expected one of the ${classes.length} classes, got "${label}"` });
}

interface LoadedTokenizer {
  readonly tokenizer: TokenizerLike;
  readonly rules: TextRules;
  readonly file: string;
}

/** @param path tokenizer.json, or a folder with it; tokenizer_config.json beside it is read, too. */
async function loadTokenizer(path: string): Promise<LoadedTokenizer> {
  const file = isFolder(path) ? join(path, "tokenizer.json") : path;
  const json = await readJson(
    file,
    "Give the tokenizer.json of the model, as transformers and the Hugging Face Hub have it.",
  );
  if (json === null || typeof json !== "object" || !("model" in json)) {
    throw new InputError({
      area,
      subject: file,
      problem: 'expected a Hugging Face tokenizer.json (with a key "model"), got other JSON',
      help: "tokenizer_config.json and vocab.json are other files: give tokenizer.json.",
    });
  }
  const beside = join(dirname(file), "tokenizer_config.json");
  const config = isFile(beside) ? await readJson(beside) : {};
  const { Tokenizer } = await import("@huggingface/tokenizers").catch((cause) => {
    throw new UnsupportedError({
      area,
      subject: "@huggingface/tokenizers",
      problem: `expected the package that reads tokenizers, got: ${messageOf(cause).split("\n")[0]}`,
      help: "Install it: npm install @huggingface/tokenizers",
      cause,
    });
  });
  try {
    const tokenizer = new Tokenizer(json, config as object) as unknown as TokenizerLike;
    return { tokenizer, rules: rulesOf(tokenizer, json as never, config as never), file };
  } catch (cause) {
    throw new UnsupportedError({
      area,
      subject: file,
      problem: `expected a tokenizer that @huggingface/tokenizers knows, got: ${messageOf(cause)}`,
      help: "Write a module that makes the inputs, or record the feeds of your application.",
      cause,
    });
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
