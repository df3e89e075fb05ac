/**
 * @file What fine-tuning on texts (CTC) needs beside the samples: the text of each class, from a key file, and a metric.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { LoadSpec } from "../data/load-spec.ts";
import type { MetricSpec } from "../measure/meter.ts";
import type { FinetuneOptions } from "./finetune-options.ts";

/** Key files of recognition models: ppocr_keys_v1.txt, en_dict.txt, vocab.txt. */
const KEY_FILE = /(keys|dict|characters|charset|vocab)[^/\\]*\.txt$/i;

/**
 * What texts are judged by: their character error rate, with the key file beside the model where it is the only one.
 * Other losses keep what was given.
 */
export function ctcMetrics(
  path: string,
  { loss }: FinetuneOptions,
  { metrics }: { readonly metrics?: MetricSpec | undefined },
): MetricSpec | undefined {
  if (loss !== "ctc") return metrics;
  const options = { ...metrics?.options };
  if (options.ctcKeys === undefined) {
    const folder = dirname(path);
    const [found, ...others] = existsSync(folder) ? readdirSync(folder).filter((name) => KEY_FILE.test(name)) : [];
    if (found !== undefined && others.length === 0) options.ctcKeys = readKeyFile(join(folder, found));
  }
  return { names: ["cer"], ...metrics, options };
}

/** Texts of tables are not to become classes. */
export function textLabels({ loss }: FinetuneOptions, { load }: { readonly load?: LoadSpec | undefined }): LoadSpec {
  return loss === "ctc" && load?.labels !== undefined ? { textLabels: true } : {};
}

/** The text of each class, one a line, with or without the blank. */
export function readKeyFile(path: string): string[] {
  return readFileSync(path, "utf8")
    .replace(/\r?\n$/, "")
    .split(/\r?\n/);
}
