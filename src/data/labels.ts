/**
 * @file Labels of files: from the names of their folders, or from a table. Class names become indices, as PyTorch's
 * ImageFolder numbers them.
 */
import { InputError } from "../util/errors.ts";

/** What files are called, and what they show. */
export interface Labelled {
  /** Path relative to the folder, with "/". */
  readonly file: string;
  /** Class index, or a number from a table, or the text that is to be read. */
  readonly label: number | string;
}

export interface Labels {
  readonly items: readonly Labelled[];
  /** Names by class index, where labels are classes with names. */
  readonly classes: readonly string[] | undefined;
}

const area = "data";

/** Code points, as Python sorts. */
const byCodePoint = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Class names to indices. Given names stand at their index; else whole numbers are the indices themselves, and other
 * names are numbered in sorted order.
 * @throws InputError for a name that is not among the given ones.
 */
function indexClasses(
  names: readonly string[],
  given: readonly string[] | undefined,
  subject: string,
): { readonly indexOf: (name: string) => number; readonly classes: readonly string[] | undefined } {
  const distinct = [...new Set(names)].sort(byCodePoint);
  if (given !== undefined) {
    const indices = new Map(given.map((name, index) => [name, index]));
    const unknown = distinct.find((name) => !indices.has(name));
    if (unknown !== undefined) {
      throw new InputError({
        area,
        subject,
        problem: `expected one of the ${given.length} classes, got "${unknown}"`,
        help: `The classes begin ${given.slice(0, 3).join(", ")}: give all of them, in the order of the model's outputs.`,
      });
    }
    return { indexOf: (name) => indices.get(name)!, classes: given };
  }
  if (distinct.every((name) => /^\d+$/.test(name))) return { indexOf: Number, classes: undefined };
  return { indexOf: (name) => distinct.indexOf(name), classes: distinct };
}

/**
 * Labels from the first folder of each path; none where all files lie in the folder itself.
 * @throws InputError where some files lie in folders and others do not.
 */
export function labelsFromFolders(
  files: readonly string[],
  given: readonly string[] | undefined,
  subject: string,
): Labels | undefined {
  const nested = files.filter((file) => file.includes("/"));
  if (nested.length === 0) return undefined;
  if (nested.length < files.length) {
    const stray = files.find((file) => !file.includes("/"));
    throw new InputError({
      area,
      subject,
      problem: `expected images either in the folder or in folders by class, got ${stray} beside ${nested[0]}`,
      help: "Move it into the folder of its class.",
    });
  }
  const nameOf = (file: string): string => file.slice(0, file.indexOf("/"));
  const { indexOf, classes } = indexClasses(files.map(nameOf), given, subject);
  return { items: files.map((file) => ({ file, label: indexOf(nameOf(file)) })), classes };
}

const FILE_COLUMNS = ["file", "path", "filename", "file_name", "image"];
const LABEL_COLUMNS = ["label", "class", "target", "category"];
const TEXT_COLUMNS = ["text", "words", "transcription", ...LABEL_COLUMNS];

/**
 * Labels from a table: two columns, or columns named file (or path) and label. Separated by commas or tabs, quoted as in
 * RFC 4180. Labels are numbers, or names of classes.
 * @param texts they are texts, kept as they are.
 * @throws InputError naming the line.
 */
export function labelsFromTable(
  text: string,
  given: readonly string[] | undefined,
  subject: string,
  texts = false,
): Labels {
  const rows = parseTable(text, subject);
  const [head] = rows;
  const names = head?.cells.map((cell) => cell.trim().toLowerCase()) ?? [];
  const columns = [FILE_COLUMNS, texts ? TEXT_COLUMNS : LABEL_COLUMNS].map((known) =>
    names.findIndex((name) => known.includes(name)),
  );
  const hasHead = columns.every((column) => column >= 0);
  const [fileColumn, labelColumn] = hasHead ? (columns as [number, number]) : [0, 1];
  const entries = (hasHead ? rows.slice(1) : rows).map(({ cells, line }) => {
    const [file, label] = [cells[fileColumn]?.trim(), cells[labelColumn]?.trim()];
    if (file && label && (hasHead || cells.length === 2)) return { file: file.replaceAll("\\", "/"), label };
    throw new InputError({
      area,
      subject: `${subject}, line ${line}`,
      problem: `expected a file and its label, got ${cells.length} columns: ${JSON.stringify(cells.join(",").slice(0, 60))}`,
      help: "Name the columns in the first line: file,label.",
    });
  });
  if (entries.length === 0) throw new InputError({ area, subject, problem: "expected lines of file,label, got none" });
  if (texts) return { items: entries, classes: undefined };
  if (given === undefined && entries.every(({ label }) => Number.isFinite(Number(label)))) {
    return { items: entries.map(({ file, label }) => ({ file, label: Number(label) })), classes: undefined };
  }
  // Indices do beside names, too.
  const isIndex = (label: string): boolean =>
    given !== undefined && /^\d+$/.test(label) && Number(label) < given.length;
  const words = entries.map(({ label }) => label).filter((label) => !isIndex(label) || given!.includes(label));
  const { indexOf, classes } = indexClasses(words, given, subject);
  return {
    items: entries.map(({ file, label }) => ({ file, label: words.includes(label) ? indexOf(label) : Number(label) })),
    classes,
  };
}

interface Row {
  readonly cells: readonly string[];
  /** From 1, where it starts. */
  readonly line: number;
}

/** RFC 4180, and tabs where the first line has one. Empty lines are passed over. */
function parseTable(text: string, subject: string): Row[] {
  const source = text.replace(/^\uFEFF/, "");
  const separator = /^[^\n]*\t/.test(source) ? "\t" : ",";
  const rows: Row[] = [];
  let cells: string[] = [];
  let cell = "";
  let line = 1;
  let start = 1;
  let quoted = false;
  const endRow = (): void => {
    cells.push(cell);
    if (cells.length > 1 || cell.trim() !== "") rows.push({ cells, line: start });
    cells = [];
    cell = "";
    start = line;
  };
  for (let i = 0; i < source.length; i++) {
    const character = source[i]!;
    if (character === "\n") line++;
    if (quoted) {
      if (character !== '"') cell += character;
      else if (source[i + 1] === '"') cell += source[++i]!;
      else quoted = false;
    } else if (character === '"' && cell === "") quoted = true;
    else if (character === separator) {
      cells.push(cell);
      cell = "";
    } else if (character === "\n") endRow();
    else if (character !== "\r") cell += character;
  }
  if (quoted) {
    const problem = "expected a closing quotation mark, got the end of the file";
    throw new InputError({ area, subject: `${subject}, line ${start}`, problem });
  }
  endRow();
  return rows;
}

/**
 * Class names in the order of the model's outputs: one a line, a JSON array, or Hugging Face's config.json (`id2label`).
 * @throws InputError where there are none, or one twice.
 */
export function parseClasses(text: string, subject: string): readonly string[] {
  const names = classNames(text, subject);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (names.length === 0 || twice !== undefined) {
    const got = twice === undefined ? "none" : `"${twice}" twice`;
    const help = "Write one a line, in the order of the model's outputs.";
    throw new InputError({ area, subject, problem: `expected names of classes, got ${got}`, help });
  }
  return names;
}

function classNames(text: string, subject: string): readonly string[] {
  const content = text.replace(/^\uFEFF/, "").trim();
  if (!/^[[{]/.test(content)) return content === "" ? [] : content.split(/\r?\n/).map((line) => line.trim());
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch (cause) {
    throw new InputError({ area, subject, problem: "expected JSON, got a file that is damaged", cause });
  }
  if (Array.isArray(json)) return json.map(String);
  const map = (json as { id2label?: unknown }).id2label ?? json;
  const entries = Object.entries(map as Record<string, unknown>).filter(([key]) => /^\d+$/.test(key));
  return entries.sort(([a], [b]) => Number(a) - Number(b)).map(([, name]) => String(name));
}
