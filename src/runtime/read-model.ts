/**
 * @file Model files and their external data in memory, in Node: for runtimes that read no files themselves.
 */
import { dirname } from "node:path";
import { externalLocations } from "../onnx/external-data.ts";
import { externalDataFromFolder, readModelFile } from "../onnx/file-node.ts";
import type { ReadModel } from "./onnxruntime-web.ts";

/** @throws InputError and FormatError for files that are none. */
export const readModel: ReadModel = (path) => {
  const { proto, bytes } = readModelFile(path);
  const files = externalDataFromFolder(dirname(path));
  const external = Object.fromEntries(
    externalLocations(proto).map((location) => [location, files.read(location, 0, files.size(location))]),
  );
  return { bytes, external };
};
