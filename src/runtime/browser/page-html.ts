/**
 * @file The page that a device opens: large plain text, readable at arm's length, light and dark.
 */

/** @param script the URL of the page's script, relative to the page. */
export function pageHtml(script: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>Tersor</title>
<style>
  :root { --back: #fff; --text: #1a1a1a; --quiet: #5c5c5c; --mark: #8a8a8a; }
  @media (prefers-color-scheme: dark) { :root { --back: #161616; --text: #ededed; --quiet: #a8a8a8; --mark: #777; } }
  body { margin: 0; background: var(--back); color: var(--text); font: 1.15rem/1.5 system-ui, sans-serif; border-top: .6rem solid var(--mark); }
  body[data-state="working"] { --mark: #2f6fde; }
  body[data-state="ok"] { --mark: #1a8a4a; }
  body[data-state="failed"] { --mark: #c4342b; }
  main { max-width: 40rem; margin: 0 auto; padding: 1.5rem 1.25rem 3rem; overflow-wrap: anywhere; }
  h1 { font-size: clamp(1.8rem, 7vw, 3rem); line-height: 1.15; margin: .25rem 0 1.25rem; }
  #lines p { margin: 0 0 .6rem; }
  .quiet { color: var(--quiet); font-size: 1rem; }
  #brand { margin: 0; letter-spacing: .04em; }
  footer { margin-top: 2rem; padding-top: 1rem; border-top: 1px solid var(--mark); }
  footer p { margin: 0 0 .5rem; }
</style>
<body data-state="waiting">
<main>
  <p id="brand" class="quiet">Tersor</p>
  <h1 id="title" aria-live="polite">Starting…</h1>
  <div id="lines" aria-live="polite"><noscript><p>This page needs JavaScript.</p></noscript></div>
  <footer class="quiet">
    <p id="device"></p>
    <p id="notes"></p>
    <p>This page loads ONNX models from the computer that runs Tersor, runs them here and sends back outputs and times. Keep it open and in front until it is done.</p>
  </footer>
</main>
<script type="module" src="${script}"></script>
`;
}
