/**
 * @file Samples as NumPy's files: folders and archives of .npz (arrays by input name) or .npy (models with one input).
 */
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { unzipSync } from "fflate";
import type { Port } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { FormatError, InputError, messageOf } from "../util/errors.ts";
import { fromItems } from "./combine.ts";
import { byName } from "./files-node.ts";
import { decodeNpy } from "./npy.ts";
import { decodeNpz } from "./npz.ts";
import { checkInputs, describePort } from "./source.ts";

export type ArrayKind = ".npz" | ".npy";

const area = "data";

/** Something that gives the bytes of a sample. */
export interface ArrayFile {
  /** For messages. */
  readonly name: string;
  read(): Promise<Uint8Array>;
}

/** A file of the file system. */
export function fileOnDisk(path: string): ArrayFile {
  return { name: path, read: () => readBytes(path) };
}

function readBytes(path: string): Promise<Uint8Array> {
  return readFile(path).catch((cause) => {
    throw new InputError({ area, subject: path, problem: `cannot be read: ${messageOf(cause)}`, cause });
  });
}

/** @throws InputError for .npy, which hold one array, and a model with several inputs. */
export function openArrays(
  name: string,
  files: readonly ArrayFile[],
  kind: ArrayKind,
  inputs: readonly Port[],
): DataSource {
  if (kind === ".npy" && inputs.length !== 1) {
    throw new InputError({
      area,
      subject: name,
      problem: `expected .npz files, got .npy, which hold one array, for a model with ${inputs.length} inputs`,
      help: `Save one .npz per sample with ${inputs.map(describePort).join(", ")}.`,
    });
  }
  return fromItems(name, files.length, async (index) => {
    const file = files[index]!;
    return decodeSample(await file.read(), file.name, kind, inputs);
  });
}

function decodeSample(bytes: Uint8Array, name: string, kind: ArrayKind, ports: readonly Port[]): Sample {
  if (kind === ".npy") return { inputs: checkInputs({ [ports[0]!.name]: decodeNpy(bytes, name) }, ports, name) };
  const arrays = decodeNpz(bytes, name);
  if (!("label" in arrays) || ports.some((port) => port.name === "label")) {
    return { inputs: checkInputs(arrays, ports, name) };
  }
  const { label, ...inputs } = arrays;
  return { inputs: checkInputs(inputs, ports, name), label };
}

/**
 * The .npz or .npy files in a zip archive, as `record` of tersor/web makes it. The archive stays in memory, its files are
 * unpacked one at a time.
 * @throws FormatError where it is none; InputError where other files are in it.
 */
export async function filesInZip(
  path: string,
): Promise<{ readonly files: readonly ArrayFile[]; readonly kind: ArrayKind }> {
  const bytes = await readBytes(path);
  const names: string[] = [];
  const unzip = (wanted: (name: string) => boolean): Record<string, Uint8Array> => {
    try {
      return unzipSync(bytes, { filter: ({ name }) => wanted(name) });
    } catch (cause) {
      const help = "Download or save it again.";
      const problem = `expected a zip archive of .npz files, got one that is cut off or damaged (${messageOf(cause)})`;
      throw new FormatError({ area, subject: path, problem, help, cause });
    }
  };
  unzip((name) => {
    const hidden = name.startsWith("__MACOSX/") || name.split("/").some((part) => part.startsWith("."));
    if (!name.endsWith("/") && !hidden) names.push(name);
    return false;
  });
  const kinds = [...new Set(names.map((name) => extname(name).toLowerCase()))];
  const [kind] = kinds;
  if (kinds.length !== 1 || (kind !== ".npz" && kind !== ".npy")) {
    throw new InputError({
      area,
      subject: path,
      problem: `expected an archive of .npz files, got ${names.length === 0 ? "an empty one" : names.slice(0, 3).join(", ")}`,
      help: "Images, texts and mixed files: unpack it and give the folder.",
    });
  }
  const files = names.sort(byName).map((name) => ({
    name: `${path}: ${name}`,
    read: async () => unzip((other) => other === name)[name]!,
  }));
  return { files, kind };
}
