/**
 * @file ONNX Runtime's messages without what only its developers need: source files, C++ signatures, templates.
 */
import { messageOf } from "../util/errors.ts";

/** Longer messages repeat shapes or whole protocol buffers. */
const LONGEST = 400;

const CUTS: readonly (readonly [RegExp, string])[] = [
  // The caller names the file.
  [/^Load model from .*? failed:/, ""],
  [/^(?:Can't create a session|failed to call OrtRun\(\))\. ERROR_CODE: \d+, ERROR_MESSAGE: /, ""],
  [/Non-zero status code returned while running (\S+) node\. Name:'' Status Message: /, "$1: "],
  [/Non-zero status code returned while running (\S+) node\. Name:'([^']*)' Status Message: /, '$1 (node "$2"): '],
  // Where in ONNX Runtime's source it was found, with the signature of the function.
  [
    /\S+\.(?:cc|h):\d+ (?:(?:void|bool|auto|\S*Status) )*onnxruntime::[\w:~<>]+ ?\([^)]*\)(?: const)?(?: \[[^\]]*\bT = [^\]]*\])? /g,
    "",
  ],
  [/\S+\.(?:cc|h):\d+ (?:operator\(\)|[A-Z]\w+) /g, ""],
  [/In Node, \(\s*"([^"]*)",\s*(\w+),.*?Error /, "$2: "],
];

/** The first line of what a runtime threw, in as few words as it can be understood. */
export function runtimeMessage(error: unknown): string {
  let text = messageOf(error).split("\n")[0]!;
  for (const [pattern, replacement] of CUTS) text = text.replace(pattern, replacement);
  text = text.replace(/\s+/g, " ").replace(/[.\s]+$/, "");
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
