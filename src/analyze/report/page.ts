/**
 * @file The page of a report: one file without scripts that asks nothing of the network.
 */
import { VERSION } from "../../version.ts";
import { type Html, html, type Part, raw } from "./html.ts";
import { STYLE } from "./style.ts";

/** What every report says about how it came to be. */
export interface ReportAbout {
  /** As it was typed, quoted for a shell: see {@link shellCommand}. */
  readonly command?: string;
  /** When, as text. Default: not said, so that the same data give the same bytes. */
  readonly date?: string;
  /** Default: of this package. */
  readonly version?: string;
  /** Seed of generated inputs, of samples of rows and of intervals. Default 0. */
  readonly seed?: number;
}

/** A part of a report under a heading of its own. */
export interface Section {
  /** For links. */
  readonly id: string;
  readonly title: string;
  readonly body: Html;
}

export interface Page {
  /** In plain text, for the window. */
  readonly title: string;
  /** "quantize". */
  readonly command: string;
  readonly heading: Html;
  /** The verdict and the cards. */
  readonly lead: Html;
  /** Those without data are undefined. */
  readonly sections: readonly (Section | undefined)[];
  readonly about: ReportAbout;
}

/** Nothing but the styles in the file is loaded or run, whatever its contents say. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";

export function renderPage({ title, command, heading, lead, sections, about }: Page): string {
  const present = sections.filter((section) => section !== undefined);
  const links = present.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`);
  const when = about.date === undefined ? "" : `, ${about.date}`;
  const page = html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta http-equiv="Content-Security-Policy" content="${POLICY}" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta name="color-scheme" content="light dark" />
<title>${title}</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<header>
<p class="kicker">Tersor ${about.version ?? VERSION}, report of ${command}${when}</p>
<h1>${heading}</h1>
${lead}
<nav aria-label="Sections"><ul>${links}</ul></nav>
</header>
<main>
${present.map(renderSection)}
</main>
<footer><p>This file stands alone: it loads nothing and runs nothing.</p></footer>
</body>
</html>
`;
  return page.toString();
}

function renderSection({ id, title, body }: Section): Html {
  return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${body}
</section>
`;
}

/** A command line that a shell reads as these words. */
export function shellCommand(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
}

/** The last part of a path of any system. */
export function fileName(path: string): string {
  return path.split(/[\\/]/).findLast((part) => part !== "") ?? path;
}

/** Rows that stand in the open; the rest unfolds. */
const OPEN_ROWS = 12;
/** Rows beyond which a table says only how many more there are. */
const MOST_ROWS = 1000;

export interface Column {
  readonly title: string;
  /** "number": to the right, never broken; "wide": text that wants room. */
  readonly kind?: "number" | "wide";
}

/** A table whose first column names the row. Columns without contents are left out; long tables show their first rows and unfold. @param open rows that are shown at once; 0: none. */
export function table(
  caption: string,
  columns: readonly Column[],
  rows: readonly (readonly Part[])[],
  open = OPEN_ROWS,
): Html {
  const used = columns.map((_column, index) => index === 0 || rows.some((row) => !isEmpty(row[index])));
  if (used.includes(false)) {
    const keep = <T>(list: readonly T[]): T[] => list.filter((_item, index) => used[index]);
    return table(caption, keep(columns), rows.map(keep), open);
  }
  // One or two more rows take less room than the line that would hide them.
  const cut = open > 0 && rows.length <= open + 2 ? rows.length : open;
  const rest = rows.slice(cut, MOST_ROWS);
  const more = rows.length - cut - rest.length;
  return html`${cut > 0 && plainTable(caption, columns, rows.slice(0, cut))}${
    rest.length > 0 &&
    html`<details><summary>${cut > 0 ? `${rest.length} more rows` : `${caption} (${rest.length})`}</summary>${plainTable(cut > 0 ? `${caption}, continued` : caption, columns, rest)}${
      more > 0 && html`<p class="note">${more} more are left out; --json has them all.</p>`
    }</details>`
  }`;
}

function isEmpty(part: Part): boolean {
  return part === undefined || part === false || part === "";
}

function plainTable(caption: string, columns: readonly Column[], rows: readonly (readonly Part[])[]): Html {
  const kind = (index: number): Html | "" => {
    const { kind } = columns[index]!;
    return kind === undefined ? "" : html` class="${kind}"`;
  };
  const head = columns.map(({ title }, index) => html`<th scope="col"${kind(index)}>${title}</th>`);
  const body = rows.map(
    (row) =>
      html`<tr>${row.map((cell, index) =>
        index === 0 ? html`<th scope="row"${kind(index)}>${cell}</th>` : html`<td${kind(index)}>${cell}</td>`,
      )}</tr>
`,
  );
  // What scrolls can be scrolled with the keyboard, too.
  return html`<div class="scroll" role="region" tabindex="0" aria-label="${caption}"><table>
<caption>${caption}</caption>
<thead><tr>${head}</tr></thead>
<tbody>
${body}</tbody></table></div>
`;
}
