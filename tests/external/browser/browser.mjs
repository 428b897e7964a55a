// Starts Chromium, and checks the pages that it shows.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { accessSync } from 'node:fs';

// Installed by .ci/browser, outside the sources.
const tools = createRequire(`${process.env.PILLARBOX_TEST_BROWSER}/`);
const { chromium } = tools('playwright-core');
const axe = tools('axe-core');

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

// Every page must work at these sizes. 400 % zoom of 1280 by 1024 is 320 by 256 at four times
// the density.
export const SIZES = {
  'at 1280 px': { viewport: { width: 1280, height: 1024 } },
  'at 320 px': { viewport: { width: 320, height: 800 } },
  'at 400 % zoom': { viewport: { width: 320, height: 256 }, deviceScaleFactor: 4 },
};
export const THEMES = ['light', 'dark'];

function executable() {
  const named = process.env.PILLARBOX_TEST_CHROMIUM;
  const found = CHROMIUM.find((path) => {
    try { accessSync(path); return true; } catch { return false; }
  });
  return named ?? found;
}

export function launch() {
  // Chromium's sandbox does not work for root, and containers in CI run as root.
  const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath: executable(), args });
}

// Opens a tab and collects the errors of its pages. A violation of the content security policy and
// a request to another host count as errors.
export async function open(browser, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    const text = message.text();
    if (/content security policy/i.test(text)) errors.push(text);
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (!['127.0.0.1', 'localhost'].includes(url.hostname) && url.protocol.startsWith('http')) {
      errors.push(`a request to ${url.host}`);
    }
  });
  return { page, context, errors };
}

// Checks the page against WCAG 2.2 AA as far as axe-core can, and for sideways scrolling.
export async function check(page, what) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(
    (tags) => window.axe.run(document, { runOnly: { type: 'tag', values: tags } }), TAGS,
  );
  const found = violations.map(({ id, nodes }) => ({
    id, nodes: nodes.map(({ target, failureSummary }) => `${target}: ${failureSummary}`),
  }));
  assert.deepEqual(found, [], `${what}: axe`);
  const { wide, inside } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth, inside: document.documentElement.clientWidth,
  }));
  assert.ok(wide <= inside, `${what}: ${wide} px wide in ${inside} px`);
}
