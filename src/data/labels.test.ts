/** @file Tests of labels.ts: folders, tables, and files of classes. */
import { expect, it } from "vitest";
import { InputError } from "../util/errors.ts";
import { labelsFromFolders, labelsFromTable, parseClasses } from "./labels.ts";

const pairs = (labels: ReturnType<typeof labelsFromFolders>) => labels?.items.map(({ file, label }) => [file, label]);

it("numbers folders in sorted order, as ImageFolder does", () => {
  const labels = labelsFromFolders(["dog/1.png", "Zebra/1.png", "cat/deep/2.png"], undefined, "p/");
  expect(labels?.classes).toEqual(["Zebra", "cat", "dog"]);
  expect(pairs(labels)).toEqual([
    ["dog/1.png", 2],
    ["Zebra/1.png", 0],
    ["cat/deep/2.png", 1],
  ]);
  expect(labelsFromFolders(["a.png"], undefined, "p/")).toBeUndefined();
  expect(() => labelsFromFolders(["a.png", "x/b.png"], undefined, "p/")).toThrow(/got a\.png beside x\/b\.png/);
});

it("takes numbers for what they are, and names by a list of classes", () => {
  expect(pairs(labelsFromFolders(["7/a.png", "10/b.png"], undefined, "p/"))).toEqual([
    ["7/a.png", 7],
    ["10/b.png", 10],
  ]);
  expect(pairs(labelsFromFolders(["dog/a.png"], ["cat", "cow", "dog"], "p/"))).toEqual([["dog/a.png", 2]]);
  expect(() => labelsFromFolders(["owl/a.png"], ["cat", "dog"], "p/")).toThrow(
    /expected one of the 2 classes, got "owl"/,
  );
});

it.each<[string, string, readonly string[] | undefined, readonly (readonly [string, number])[]]>([
  [
    "no head",
    "a.png,3\nb.png,1\n",
    undefined,
    [
      ["a.png", 3],
      ["b.png", 1],
    ],
  ],
  ["a head, other columns, other order", "id,label,path\r\n1,5,x/a.png\r\n", undefined, [["x/a.png", 5]]],
  ["quotes and a byte order mark", '\uFEFFfile,label\n"a, ""b"".png","dog"\n', undefined, [['a, "b".png', 0]]],
  [
    "tabs and names",
    "file\tlabel\na.png\tdog\nb.png\tcat\n",
    undefined,
    [
      ["a.png", 1],
      ["b.png", 0],
    ],
  ],
  [
    "names and indices by classes",
    "a.png,dog\nb.png,0\n",
    ["cat", "dog"],
    [
      ["a.png", 1],
      ["b.png", 0],
    ],
  ],
  ["backslashes, empty lines, fractions", "\nx\\a.png,0.5\n\n", undefined, [["x/a.png", 0.5]]],
])("reads tables: %s", (_, text, classes, expected) => {
  expect(pairs(labelsFromTable(text, classes, "labels.csv"))).toEqual(expected);
});

it("keeps texts of tables as they are", () => {
  const read = (text: string) => labelsFromTable(text, undefined, "labels.txt", true).items.map(({ label }) => label);
  expect(read("a.png\t12:30, Gate 7\nb.png\t007\n")).toEqual(["12:30, Gate 7", "007"]);
  expect(read('file,text,label\na.png,"one, two",3\n')).toEqual(["one, two"]);
});

it.each<[string, RegExp]>([
  ["a.png,1\nb.png\n", /labels\.csv, line 2: expected a file and its label, got 1 columns: "b\.png"/],
  ["a.png,1,2\n", /line 1: .*got 3 columns.*Name the columns/],
  ["file,label\n", /expected lines of file,label, got none/],
  ['file,label\n"a.png,1\n', /line 2: expected a closing quotation mark/],
  ["file,label\na.png,\n", /line 2/],
])("names the line of a table that is wrong", (text, message) => {
  expect(() => labelsFromTable(text, undefined, "labels.csv")).toThrow(InputError);
  expect(() => labelsFromTable(text, undefined, "labels.csv")).toThrow(message);
});

it("reads classes: lines, JSON, config.json", () => {
  expect(parseClasses("cat\ndog\r\n", "c")).toEqual(["cat", "dog"]);
  expect(parseClasses('["cat", "dog"]', "c")).toEqual(["cat", "dog"]);
  expect(parseClasses('{"id2label": {"1": "dog", "0": "cat", "10": "owl"}}', "c")).toEqual(["cat", "dog", "owl"]);
  expect(() => parseClasses("", "c.txt")).toThrow(/c\.txt: expected names of classes, got none/);
  expect(() => parseClasses("cat\ncat", "c.txt")).toThrow(/got "cat" twice/);
  expect(() => parseClasses("[1,", "c.txt")).toThrow(InputError);
});
