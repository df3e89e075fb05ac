/**
 * @file What a file weighs, and what it weighs over the network.
 */

/** Byte counts. A compressed size is undefined where the platform has no such compressor. */
export interface Sizes {
  readonly bytes: number;
  /** Level 6, what web servers use by default. */
  readonly gzip: number | undefined;
  /** Quality 9 up to 20 MB, 5 above (quality 11 takes a minute for 20 MB of weights). Browsers cannot compress with brotli: undefined there. */
  readonly brotli: number | undefined;
}

/** Files up to this size are compressed with brotli's quality 9; it takes about 10 MB/s. */
const BROTLI_THOROUGH_BYTES = 20 * 1024 * 1024;

/** Pieces given to the compressors: keeps memory flat whatever the size of the chunks. */
const PIECE_BYTES = 1 << 20;

type Chunks = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** A compressor that only counts what comes out. */
interface Counter {
  write(piece: Uint8Array): Promise<void>;
  end(): Promise<number>;
}

/**
 * Sizes of the concatenation of the chunks, which are read once and streamed through the compressors.
 * @param options.byteLength total size, where `chunks` is neither bytes nor an array, so that brotli's quality can be
 * chosen by it. Default there: unknown, quality 5.
 */
export async function compressedSizes(chunks: Chunks, options: { readonly byteLength?: number } = {}): Promise<Sizes> {
  const source = chunks instanceof Uint8Array ? [chunks] : chunks;
  const total =
    options.byteLength ??
    (Array.isArray(source) ? source.reduce((sum: number, chunk: Uint8Array) => sum + chunk.byteLength, 0) : undefined);
  const quality = total !== undefined && total <= BROTLI_THOROUGH_BYTES ? 9 : 5;
  const { gzip, brotli } = (await nodeCounters(quality, total)) ?? webCounters();
  const counters = [gzip, brotli].filter((counter) => counter !== undefined);
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.byteLength;
    for (let at = 0; at < chunk.byteLength; at += PIECE_BYTES) {
      const piece = chunk.subarray(at, at + PIECE_BYTES);
      await Promise.all(counters.map((counter) => counter.write(piece)));
    }
  }
  const [gzipBytes, brotliBytes] = await Promise.all([gzip?.end(), brotli?.end()]);
  return { bytes, gzip: gzipBytes, brotli: brotliBytes };
}

async function nodeCounters(
  quality: number,
  total: number | undefined,
): Promise<{ gzip: Counter; brotli: Counter } | undefined> {
  if (typeof process === "undefined" || process.versions?.node === undefined) return undefined;
  const { constants, createBrotliCompress, createGzip } = await import("node:zlib");
  const params = { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_SIZE_HINT]: total ?? 0 };
  return { gzip: countNode(createGzip({ level: 6 })), brotli: countNode(createBrotliCompress({ params })) };
}

function countNode(stream: import("node:stream").Transform): Counter {
  let size = 0;
  const done = new Promise<number>((resolve, reject) => {
    stream.on("data", (piece: Uint8Array) => {
      size += piece.byteLength;
    });
    stream.on("end", () => resolve(size));
    stream.on("error", reject);
  });
  done.catch(() => {}); // `end` reports it
  return {
    write: (piece) =>
      new Promise((resolve, reject) => stream.write(piece, (error) => (error ? reject(error) : resolve()))),
    end: () => {
      stream.end();
      return done;
    },
  };
}

function webCounters(): { gzip: Counter | undefined; brotli: undefined } {
  if (typeof CompressionStream === "undefined") return { gzip: undefined, brotli: undefined };
  const { readable, writable } = new CompressionStream("gzip");
  const writer = writable.getWriter();
  const count = async (): Promise<number> => {
    let size = 0;
    const reader = readable.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) size += next.value.byteLength;
    return size;
  };
  const done = count();
  done.catch(() => {}); // `end` reports it
  return {
    gzip: {
      write: (piece) => writer.write(piece as Uint8Array<ArrayBuffer>),
      end: async () => {
        await writer.close();
        return done;
      },
    },
    brotli: undefined,
  };
}
