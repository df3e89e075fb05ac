/**
 * @file NumPy's .npz files: a zip archive with one .npy file per array.
 */
import { unzipSync, zipSync } from "fflate";
import type { Tensor } from "../tensor/tensor.ts";
import { FormatError, messageOf, UnsupportedError } from "../util/errors.ts";
import { decodeNpy, encodeNpy } from "./npy.ts";

/** More arrays than any model has inputs: stops archives whose directory claims millions of entries. */
const MAX_ENTRIES = 65_536;

/** Deflate cannot shrink more than this: a larger claim is a lie that would make us allocate it. */
const MAX_DEFLATE_RATIO = 1032;

/** The largest archive without zip64, which our writer has not. */
const MAX_ZIP_BYTES = 0xffff_ffff;

/**
 * Decodes an .npz file (stored or compressed) to its arrays by name, in the order of the archive. Directories and
 * macOS's `__MACOSX/` entries are skipped.
 * @param name what messages call the file.
 * @throws FormatError for anything that is not a whole archive of .npy files.
 */
export function decodeNpz(bytes: Uint8Array, name = "npz"): Record<string, Tensor> {
  const fail = (problem: string, help?: string, cause?: unknown): never => {
    throw new FormatError({ area: "npz", subject: name, problem, help, cause });
  };
  let entries = 0;
  let files: Record<string, Uint8Array>;
  try {
    files = unzipSync(bytes, {
      filter: (file) => {
        if (++entries > MAX_ENTRIES) fail(`expected at most ${MAX_ENTRIES} entries, got more`);
        if (file.name.endsWith("/") || file.name.startsWith("__MACOSX/")) return false;
        if (!file.name.endsWith(".npy")) {
          fail(`expected entries named *.npy, got "${file.name}"`, "Save it with numpy.savez(path, name=array, …).");
        }
        if (file.size > bytes.byteLength || file.originalSize > MAX_DEFLATE_RATIO * (file.size + 1)) {
          fail(`entry "${file.name}": expected a possible size, got ${file.originalSize} bytes from ${file.size}`);
        }
        return true;
      },
    });
  } catch (error) {
    if (error instanceof FormatError) throw error;
    const zip = bytes[0] === 0x50 && bytes[1] === 0x4b;
    const got = zip ? "one that is cut off or damaged" : `${bytes.byteLength} bytes that are not one`;
    const help = "Save it again with numpy.savez(path, input_name=array, …).";
    return fail(`expected a zip archive, got ${got} (${messageOf(error)})`, help, error);
  }
  // fromEntries defines the keys: an array called "__proto__" stays an array.
  return Object.fromEntries(
    Object.entries(files).map(([file, content]) => [
      file.slice(0, -".npy".length),
      decodeNpy(content, `${name}: ${file}`),
    ]),
  );
}

/**
 * Encodes arrays by name as .npz; the same arrays always give the same bytes.
 * @param options.compress deflate the arrays, as numpy.savez_compressed does. Default false, as numpy.savez.
 * @throws UnsupportedError for types that NumPy has not, and for more than 4 GB.
 */
export function encodeNpz(
  arrays: Readonly<Record<string, Tensor>>,
  options: { readonly compress?: boolean } = {},
): Uint8Array {
  const files = Object.entries(arrays).map(([name, tensor]) => [`${name}.npy`, encodeNpy(tensor)] as const);
  const total = files.reduce((sum, [, content]) => sum + content.byteLength, 0);
  if (total > MAX_ZIP_BYTES) {
    throw new UnsupportedError({
      area: "npz",
      subject: `${files.length} arrays`,
      problem: `expected at most ${MAX_ZIP_BYTES} bytes, got ${total}`,
      help: "Write several files.",
    });
  }
  const mtime = new Date(1980, 0, 1); // the first day a zip knows, as NumPy writes it
  return zipSync(Object.fromEntries(files), { level: options.compress ? 6 : 0, mtime });
}
