/**
 * @file Checkpoints in a browser's IndexedDB: a page that was closed in the middle of a training goes on when it is opened
 * again. One transaction writes a checkpoint and removes what is too old, so that there is always a whole one.
 */
import type { Tensors } from "../runtime/runtime.ts";
import { type PackedTensors, packTensors, unpackTensors } from "../runtime/worker-messages.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { InputError, messageOf } from "../util/errors.ts";
import type { CheckpointRecord, CheckpointStore } from "./checkpoint.ts";

/** Checkpoints that outlive the page. */
export interface DatabaseCheckpoints extends CheckpointStore {
  /** Removes them all: the next training begins anew. */
  clear(): Promise<void>;
}

const STORE = "checkpoints";

/** What is stored, under its step as the key. */
interface Entry {
  readonly record: CheckpointRecord;
  readonly state: PackedTensors;
  readonly best?: PackedTensors;
}

/**
 * Checkpoints in an IndexedDB database of their own, in a page or a worker: of this origin, until the user clears its data.
 * @param name of the database, one for each training.
 * @param keep How many: older ones are removed. Default 2.
 */
export function databaseCheckpoints(name: string, { keep = 2 }: { readonly keep?: number } = {}): DatabaseCheckpoints {
  const within = async <T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => Promise<T>): Promise<T> => {
    try {
      const database = await open(name);
      try {
        const transaction = database.transaction(STORE, mode);
        const done = finished(transaction);
        // Whoever waits for the work hears of its error; this one may come first.
        done.catch(() => {});
        const result = await work(transaction.objectStore(STORE));
        await done;
        return result;
      } finally {
        database.close();
      }
    } catch (cause) {
      throw new InputError({
        area: "train",
        subject: name,
        problem: `expected a database for checkpoints, got: ${messageOf(cause)}`,
        help: "Private windows may refuse one, and a full disk does.",
        cause,
      });
    }
  };
  const label = (step: number): string => `${name}, step ${step}`;
  return {
    name,
    write: ({ record, state, best }) =>
      within("readwrite", async (store) => {
        const entry: Entry = { record, state: pack(state), ...(best && { best: pack(best) }) };
        await result(store.put(entry, record.step));
        const keys = await result(store.getAllKeys());
        for (const key of keys.slice(0, -Math.max(keep, 1))) await result(store.delete(key));
        return label(record.step);
      }),
    latest: () =>
      within("readonly", async (store) => {
        const cursor = await result(store.openCursor(null, "prev"));
        if (cursor === null) return undefined;
        const { record, state, best } = cursor.value as Entry;
        const checkpoint = { record, state: unpack(state), ...(best && { best: unpack(best) }) };
        return { name: label(record.step), checkpoint };
      }),
    clear: () => within("readwrite", async (store) => void (await result(store.clear()))),
  };
}

const pack = (tensors: ReadonlyMap<string, Tensor>): PackedTensors => packTensors(Object.fromEntries(tensors), false);

const unpack = (packed: PackedTensors): ReadonlyMap<string, Tensor> =>
  new Map(Object.entries(unpackTensors(packed) satisfies Tensors));

function open(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return result(request);
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("the database gave up"));
  });
}
