/**
 * @file Records an application's feeds in a browser: kept in memory, downloaded as one archive.
 */
import { zipSync } from "fflate";
import { OptionError } from "../util/errors.ts";
import { type RecordableSession, type Recording, recordRuns, type SamplingOptions } from "./record.ts";

export interface WebRecording extends Recording {
  /** Everything so far, as a zip archive of .npz files that `--data feeds.zip` reads. */
  blob(): Blob;
  /** Offers it as a download. Default name "feeds.zip". */
  download(name?: string): void;
}

/**
 * Records what a page feeds its model. Give it the session that runs (of onnxruntime-web or transformers.js):
 *
 * ```js
 * const recording = record(session, { samples: 200 });
 * recording.done.then(() => recording.download());
 * ```
 *
 * `session.run` works as before, and after the last sample it is the original again.
 * @throws OptionError for options that are not allowed.
 */
export function record(session: RecordableSession, options: SamplingOptions = {}): WebRecording {
  const kept: Uint8Array[] = [];
  const recording = recordRuns(session, options, (slot, npz) => {
    kept[slot] = npz;
  });
  const blob = (): Blob => {
    const files = kept.map((npz, slot) => [`feed-${String(slot + 1).padStart(5, "0")}.npz`, npz] as const);
    // Tensors of floats hardly shrink, and packing would hold up the page.
    const archive = zipSync(Object.fromEntries(files), { level: 0, mtime: new Date(1980, 0, 1) });
    return new Blob([archive as Uint8Array<ArrayBuffer>], { type: "application/zip" });
  };
  return {
    get count() {
      return recording.count;
    },
    done: recording.done,
    stop: recording.stop,
    blob,
    download(name = "feeds.zip") {
      if (typeof document === "undefined") {
        const problem = "expected a page to download from, got none";
        throw new OptionError({ area: "record", subject: "download", problem, help: "Send blob() where you want it." });
      }
      const link = document.createElement("a");
      const url = URL.createObjectURL(blob());
      link.href = url;
      link.download = name;
      link.click();
      // The browser reads it after this call.
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    },
  };
}
