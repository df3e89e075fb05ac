/**
 * @file What Node tells a page, as server-sent events, and where the page answers. All paths are relative to the page.
 */
import type { WebProvider } from "../onnxruntime-web.ts";

/** What a page shows, for the person who holds the device. */
export interface Show {
  readonly state: "waiting" | "working" | "ok" | "failed";
  readonly title: string;
  readonly lines: readonly string[];
}

export type PageEvent =
  /** Start a worker that takes requests for a runtime from {@link nextPath}. */
  | { readonly kind: "start"; readonly worker: number; readonly provider: WebProvider }
  | { readonly kind: "end"; readonly worker: number }
  | { readonly kind: "show"; readonly show: Show }
  /** Nothing more will come: the server ends. */
  | { readonly kind: "bye" };

/** A page says hello with its {@link Host}, and gets its number. */
export const HELLO_PATH = "hello";
export const eventsPath = (device: number): string => `events/${device}`;
/** A worker gives its answer to the last request, if there was one, and gets the next. 204: none yet; 410: no more. */
export const nextPath = (worker: number): string => `next/${worker}`;
/** A worker that cannot go on says why. */
export const failedPath = (worker: number): string => `failed/${worker}`;
/** A page that is left says so: else it would only be missed. */
export const leftPath = (device: number): string => `left/${device}`;
/** onnxruntime-web's files. */
export const ORT_PATH = "ort/";
/** Tersor's own modules. */
export const MODULES_PATH = "tersor/";
