/**
 * @file Models as files, in Node: reading beyond 2 GiB limits of `readFile`, external data within the model's folder,
 * and writing that leaves either the old file or the new one.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { FormatError, InputError, messageOf } from "../util/errors.ts";
import { decodeModel } from "./decode.ts";
import { type Chunk, chunkBytes, chunksLength, encodeModel } from "./encode.ts";
import { type ExternalData, type ExternalFile, externalize, withChecksums } from "./external-data.ts";
import { MAX_MODEL_BYTES } from "./limits.ts";
import type { ModelProto } from "./messages.ts";

export interface ReadOptions {
  /** Read external data outside the model's folder (absolute paths, `..`, links). Default false: such files are refused. */
  readonly allowOutside?: boolean;
}

/** Bytes per system call: below the 2 GiB that one call can move. */
const READ_BYTES = 2 ** 30;

/** The whole file. @throws InputError where it is missing, a folder, or unreadable. */
export function readFileBytes(path: string): Uint8Array {
  const file = openForReading(path, "model file");
  try {
    const { size } = fstatSync(file);
    const bytes = new Uint8Array(size);
    return bytes.subarray(0, readInto(file, bytes, 0));
  } finally {
    closeSync(file);
  }
}

function openForReading(path: string, what: string): number {
  checkReadable(path, what);
  try {
    return openSync(path, "r");
  } catch (error) {
    throw unreadable(path, what, error);
  }
}

/** Bytes of a regular file. @throws InputError where it is missing, a folder, a pipe or a device. */
function checkReadable(path: string, what: string): number {
  let stat: Stats;
  try {
    stat = statSync(path);
  } catch (error) {
    throw unreadable(path, what, error);
  }
  if (stat.isFile()) return stat.size;
  const folder = stat.isDirectory();
  const problem = `expected a ${what}, got a ${folder ? "folder" : "pipe or device"}`;
  const help = what !== "model file" ? undefined : folder ? "Give the .onnx file in it." : "Save it to a file first.";
  throw new InputError({ area: "file", subject: path, problem, help });
}

function unreadable(path: string, what: string, cause: unknown): InputError {
  const code = (cause as NodeJS.ErrnoException).code;
  const problem =
    code === "ENOENT" || code === "ENOTDIR"
      ? `expected a ${what}, found nothing there`
      : code === "EACCES" || code === "EPERM"
        ? "may not be read (permission denied)"
        : messageOf(cause);
  return new InputError({ area: "file", subject: path, problem, help: "Check the path.", cause });
}

function readInto(file: number, target: Uint8Array, offset: number): number {
  let done = 0;
  while (done < target.byteLength) {
    const count = readSync(file, target, done, Math.min(READ_BYTES, target.byteLength - done), offset + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Reads a model file; external data are found beside it when they are asked for. */
export function readModelFile(
  path: string,
  options: ReadOptions = {},
): { readonly proto: ModelProto; readonly external: ExternalData; readonly bytes: Uint8Array } {
  const size = checkReadable(path, "model file");
  if (size > MAX_MODEL_BYTES) {
    throw new InputError({
      area: "file",
      subject: path,
      problem: `expected at most 2 GiB (the limit of protobuf), got ${size} bytes`,
      help: "Store the weights as external data: runtimes do not load such a file either.",
    });
  }
  const bytes = readFileBytes(path);
  try {
    return { proto: decodeModel(bytes), external: externalDataFromFolder(dirname(path), options), bytes };
  } catch (error) {
    throw nameFile(looksLikeText(bytes) && error instanceof FormatError ? isText(error) : error, path);
  }
}

/** The same error with the file it is about in its text: "onnx: model.onnx: …". */
export function nameFile(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error.message.startsWith(`${path}: `)) return error;
  const unnamed = /^onnx: model(?: bytes)?: /;
  error.message = unnamed.test(error.message)
    ? error.message.replace(unnamed, `onnx: ${path}: `)
    : `${path}: ${error.message}`;
  return error;
}

/** Bytes that are looked at to tell text from a model. */
const TEXT_BYTES = 512;

/** Whether a file starts with nothing but printable text: a model has bytes of control in its first fields. */
function looksLikeText(bytes: Uint8Array): boolean {
  const head = bytes.subarray(0, TEXT_BYTES);
  return head.length > 0 && head.every((byte) => byte >= 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d);
}

function isText(cause: FormatError): FormatError {
  // What other formats are called in the decoder's message says more.
  if (cause.message.includes("expected an ONNX model")) return cause;
  const problem = "expected an ONNX model, got a text file";
  return new FormatError({ area: "onnx", subject: "model bytes", problem, help: "Give the .onnx file.", cause });
}

/** External data that lie beside the model. Locations outside `folder` are refused unless `allowOutside`. */
export function externalDataFromFolder(folder: string, options: ReadOptions = {}): ExternalData {
  const digests = new Map<string, string>();
  const files = new Map<string, { readonly path: string; readonly size: number }>();
  const find = (location: string): { readonly path: string; readonly size: number } => {
    let found = files.get(location);
    if (found === undefined) {
      const path = resolveLocation(folder, location, options);
      found = { path, size: checkReadable(path, "data file") };
      files.set(location, found);
    }
    return found;
  };
  return {
    size: (location) => find(location).size,
    read(location, offset, length) {
      const { path } = find(location);
      const file = openForReading(path, "data file");
      try {
        const bytes = new Uint8Array(length);
        const count = readInto(file, bytes, offset);
        if (count < length) {
          throw new InputError({
            area: "file",
            subject: path,
            problem: `expected ${length} bytes at ${offset}, got ${count}`,
            help: "The file changed or is cut off.",
          });
        }
        return bytes;
      } finally {
        closeSync(file);
      }
    },
    sha1(location) {
      let digest = digests.get(location);
      if (digest === undefined) {
        digest = fileSha1(find(location).path);
        digests.set(location, digest);
      }
      return digest;
    },
  };
}

function resolveLocation(folder: string, location: string, options: ReadOptions): string {
  const refuse = (problem: string): InputError =>
    new InputError({
      area: "onnx",
      subject: `external data ${JSON.stringify(location)}`,
      problem,
      help: "A model from someone else could read any file that way. Pass --allow-external-outside (allowOutside) if you trust it.",
    });
  // Windows separators would escape there and nowhere else: the specification asks for POSIX paths.
  const parts = location.split(/[\\/]/);
  const path = resolve(folder, location);
  if (!options.allowOutside) {
    if (isAbsolute(location) || /^[a-zA-Z]:/.test(location)) {
      throw refuse("expected a path within the model's folder, got an absolute path");
    }
    if (parts.includes("..")) throw refuse('expected a path within the model\'s folder, got one with ".."');
  }
  if (!existsSync(path)) {
    throw new InputError({
      area: "onnx",
      subject: `external data ${JSON.stringify(location)}`,
      problem: `expected the file ${path}, found nothing there`,
      help: "Put the model's data files beside it, under the names they were exported with.",
    });
  }
  if (!options.allowOutside) {
    const inside = relative(realpathSync(folder), realpathSync(path));
    if (inside.startsWith(`..${sep}`) || inside === ".." || isAbsolute(inside)) {
      throw refuse("expected a file within the model's folder, got a link that leads out of it");
    }
  }
  return path;
}

function fileSha1(path: string): string {
  const hash = createHash("sha1");
  const file = openForReading(path, "data file");
  const buffer = new Uint8Array(4 * 1024 * 1024);
  try {
    for (let position = 0; ; ) {
      const count = readSync(file, buffer, 0, buffer.byteLength, position);
      if (count === 0) return hash.digest("hex");
      hash.update(buffer.subarray(0, count));
      position += count;
    }
  } finally {
    closeSync(file);
  }
}

export interface WriteOptions {
  /**
   * `"auto"` (default): inside the model up to 1.9 GB, else in `<name>_data` beside it. `true`: always outside;
   * `false`: never.
   */
  readonly externalData?: boolean | "auto";
  /** Largest data file in bytes. Default: one file. */
  readonly maxFileBytes?: number;
  /** Write each data file's SHA-1 into the model. Default false. */
  readonly checksums?: boolean;
}

/** Models above it get external data by default: some room below protobuf's 2 GiB. */
const AUTO_EXTERNAL_BYTES = 1.9e9;

export interface WrittenFile {
  readonly path: string;
  readonly byteLength: number;
}

/**
 * Writes a model, and its data files where it has any. Everything is written under temporary names beside the target
 * and renamed at the end, so a killed run leaves the old files or none.
 * @returns The files, the model first.
 * @throws InputError where the target cannot be written.
 */
export function writeModelFile(path: string, proto: ModelProto, options: WriteOptions = {}): WrittenFile[] {
  const mode = options.externalData ?? "auto";
  const inline = encodeModel(proto);
  const outside = mode === true || (mode === "auto" && chunksLength(inline) > AUTO_EXTERNAL_BYTES);
  if (!outside) return writeFiles([{ path, chunks: inline }]);
  const location = `${basename(path)}_data`;
  const external = externalize(proto, { location, maxFileBytes: options.maxFileBytes });
  const folder = dirname(path);
  const data = external.files.map((file) => ({ path: join(folder, file.location), chunks: file.chunks }));
  let { model } = external;
  if (options.checksums)
    model = withChecksums(model, new Map(external.files.map((file) => [file.location, sha1(file)])));
  return writeFiles([{ path, chunks: encodeModel(model) }, ...data]);
}

function sha1(file: ExternalFile): string {
  const hash = createHash("sha1");
  for (const chunk of file.chunks) hash.update(chunkBytes(chunk));
  return hash.digest("hex");
}

/** Temporary files of this process: removed when it ends before they were renamed. */
const pending = new Set<string>();
let cleansUp = false;

function cleanUpAtExit(): void {
  if (cleansUp) return;
  cleansUp = true;
  process.on("exit", () => {
    for (const path of pending) removeQuietly(path);
  });
}

/** `force` is silent about a missing file, but not about a file in place of its folder. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // The error that led here says more.
  }
}

interface PlannedFile {
  readonly path: string;
  readonly chunks: readonly Chunk[];
}

/** Writes all files or none: temporary files first, then one rename each, the first of the list (the model) last. */
export function writeFiles(files: readonly PlannedFile[]): WrittenFile[] {
  cleanUpAtExit();
  const temporary = (path: string): string => join(dirname(path), `.${basename(path)}.tmp-${process.pid}`);
  const written: WrittenFile[] = [];
  try {
    for (const { path, chunks } of files) {
      if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
        throw unwritable(path, "expected a file name, got a folder");
      }
      makeFolder(dirname(resolve(path)));
      pending.add(temporary(path));
      written.push({ path, byteLength: writeTemporary(temporary(path), chunks) });
    }
    // With several files the old model goes first: it must never stand beside data of the new one.
    if (files.length > 1) rmSync(files[0]!.path, { force: true });
    for (const { path } of files.toReversed()) {
      renameSync(temporary(path), path);
      pending.delete(temporary(path));
    }
    return written;
  } catch (error) {
    for (const { path } of files) {
      removeQuietly(temporary(path));
      pending.delete(temporary(path));
    }
    if (error instanceof InputError || (error as NodeJS.ErrnoException).code === undefined) throw error;
    throw unwritable(files[0]!.path, describeWriteError(error), error);
  }
}

/** Not `recursive: true`: where the system says that a folder cannot be (in /proc), Node 20 tries for ever. */
export function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  }
}

function writeTemporary(path: string, chunks: readonly Chunk[]): number {
  const file = openSync(path, "w");
  try {
    let total = 0;
    for (const chunk of chunks) {
      const bytes = chunkBytes(chunk);
      let done = 0;
      while (done < bytes.byteLength) {
        done += writeSync(file, bytes, done, Math.min(READ_BYTES, bytes.byteLength - done));
      }
      total += bytes.byteLength;
    }
    fsyncSync(file);
    return total;
  } finally {
    closeSync(file);
  }
}

function describeWriteError(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return "may not be written (permission denied)";
    case "ENOSPC":
      return "the disk is full";
    case "ENOTDIR":
    case "EEXIST":
      return "a part of the path is a file, not a folder";
    case "ENOENT":
      return "its folder cannot be made";
    default:
      return messageOf(error);
  }
}

function unwritable(path: string, problem: string, cause?: unknown): InputError {
  return new InputError({
    area: "file",
    subject: path,
    problem,
    help: "Choose another output with -o; nothing was written.",
    cause,
  });
}
