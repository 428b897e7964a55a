// Takes the screenshots of docs/console.md and the README, and writes them if
// PILLARBOX_TEST_SCREENSHOTS=1. They show a typical inbox: one notification is dead, the others are
// delivered.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { it } from 'node:test';

import { launch, open } from './browser.mjs';
import { Consumer } from './consumer.mjs';
import { Pillarbox, SOURCES, until } from './pillarbox.mjs';

const IMAGES = fileURLToPath(new URL('../../../docs/images/', import.meta.url));
const MAX_BYTES = 150_000;

it('takes screenshots of the main pages that are small enough for the repository', async () => {
  const consumer = await Consumer.start(400);
  const flags = ['--allow-changes'];
  const pillarbox = await Pillarbox.start({ document: SOURCES + consumer.document, flags });
  const browser = await launch();
  const { page, context } = await open(browser, { viewport: { width: 1280, height: 720 } });
  try {
    await pillarbox.send('pay', '--event', 'captured');
    await until('it is dead', async () => (await pillarbox.rows('--state', 'dead')).length === 1);
    consumer.status = 200;
    for (const event of ['captured', 'refunded', 'failed', 'expired', 'succeeded']) {
      await pillarbox.send('pay', '--event', event);
    }
    await pillarbox.send('hmrc', '--xml');
    await pillarbox.send('hmrc');
    await until('the rest is delivered', async () => (
      (await pillarbox.rows('--state', 'delivered')).length === 7));
    const [dead] = await pillarbox.rows('--state', 'dead');
    for (const [name, path] of [
      ['overview', '/'],
      ['notifications', '/notifications'],
      ['notification', `/notifications/${encodeURIComponent(dead.key)}`],
      ['charts', '/charts'],
    ]) {
      await page.goto(pillarbox.url(path));
      if (name === 'notifications') {
        await page.locator('#live-state[data-state=connected]').waitFor();
      }
      const picture = { animations: 'disabled', type: 'png' };
      if (process.env.PILLARBOX_TEST_SCREENSHOTS === '1') {
        await mkdir(IMAGES, { recursive: true });
        picture.path = `${IMAGES}${name}.png`;
      }
      const { length } = await page.screenshot(picture);
      assert.ok(length < MAX_BYTES, `${name}: ${length} bytes`);
    }
  } finally {
    await context.close();
    await browser.close();
    await pillarbox.end();
    consumer.end();
  }
});
