// Every page of the console, on both inboxes: accessible in both themes and at every size, safe
// with hostile text, and usable without scripts.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { SIZES, THEMES, check, launch, open } from './browser.mjs';
import { Consumer } from './consumer.mjs';
import { INBOXES, Pillarbox, SOURCES, until } from './pillarbox.mjs';

// Markup, an event handler, closing tags of every element that a page could put it in, and
// characters that reorder and hide text.
const HOSTILE = `</pre></code></textarea></title></script><script>document.title='owned'</script>`
  + `<img src=x onerror="document.title='owned'"> \u202eevil\u2066\u0000\u001b[31m {{7*7}}`;

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

// Starts Pillarbox with notifications that are delivered, dead, discarded and hostile, and with a
// refused request. The destination refuses the first two.
async function startFilled(inbox) {
  const consumer = await Consumer.start(400);
  const flags = ['--allow-changes'];
  const pillarbox = await Pillarbox.start({ inbox, document: SOURCES + consumer.document, flags });
  await pillarbox.send('pay', '--count', '2');
  await until('both are dead', async () => (await pillarbox.rows('--state', 'dead')).length === 2);
  consumer.status = 200;
  const message = join(pillarbox.folder, 'hostile.json');
  await writeFile(message, JSON.stringify({ text: HOSTILE, name: HOSTILE }));
  await pillarbox.send('pay', '--event', 'refunded');
  await pillarbox.send('hmrc', '--xml');
  await pillarbox.send('hmrc', '--message', message);
  await pillarbox.run('discard', (await pillarbox.rows('--state', 'dead'))[0].key);
  const forged = ['--secret', 'env:LEDGER_WHSEC'];
  await pillarbox.send('pay', ...forged);
  await until('three are delivered', async () => (
    (await pillarbox.rows('--state', 'delivered')).length === 3));
  return { pillarbox, consumer };
}

const rowPath = (row) => `/notifications/${encodeURIComponent(row.key)}`;

for (const inbox of Object.keys(INBOXES)) {
  describe(`the pages on ${inbox}`, () => {
    let consumer;
    let full;
    let empty;
    before(async () => {
      ({ pillarbox: full, consumer } = await startFilled(inbox));
      empty = await Pillarbox.start({ inbox });
    });
    after(async () => {
      consumer?.end();
      await Promise.all([full?.end(), empty?.end()]);
    });

    for (const theme of THEMES) {
      for (const [size, options] of Object.entries(SIZES)) {
        // The pages are the same on every inbox, so one theme is enough for the second one.
        if (inbox !== 'sqlite' && theme !== THEMES[0]) continue;
        it(`are accessible in ${theme} ${size}`, async () => {
          const rows = await full.rows();
          const row = (source) => rowPath(rows.find((one) => one.source === source));
          const dead = rowPath(rows.find((one) => one.state === 'dead'));
          const pages = [
            ...['/', '/notifications', '/search?q=', '/refusals', '/audit', '/charts', '/samples',
            ].flatMap((path) => [[full, path], [empty, path]]),
            ...['/notifications?source=pay&state=delivered', '/notifications?state=held',
              ...['key', 'subject'].map((found) => `/search?q=${rows[0][found]}`),
              '/search?q=nowhere', row('pay'), row('hmrc'), dead,
              `${dead}/replay`, `${dead}/discard`, `${dead}/erase`, '/bulk?state=dead',
              '/nowhere', '/notifications/pay:none', '/notifications?state=wrong',
            ].map((path) => [full, path]),
          ];
          const { page, context, errors } = await open(browser, { ...options, colorScheme: theme });
          for (const [pillarbox, path] of pages) {
            await page.goto(pillarbox.url(path));
            assert.equal(await page.locator('h1').count(), 1, path);
            assert.equal(await page.locator('html').getAttribute('lang'), 'en');
            await check(page, path);
          }
          // The row page again, with a field revealed.
          await page.goto(full.url(row('hmrc')));
          await page.getByRole('button', { name: /^Show/ }).first().click();
          await check(page, 'a revealed field');
          assert.deepEqual(errors, []);
          await context.close();
        });
      }
    }

    it('show hostile text as text', async () => {
      const { page, context, errors } = await open(browser);
      for (const row of await full.rows('--source', 'hmrc')) {
        await page.goto(full.url(rowPath(row)));
        for (const button of ['Show the exact bytes', 'Show them in hexadecimal', /^Show /]) {
          await page.getByRole('button', { name: button }).first().click();
          const text = await page.locator('body').innerText();
          assert.doesNotMatch(text, /[\u202e\u2066\u0000\u001b]/, row.key);
          assert.notEqual(await page.title(), 'owned');
          assert.equal(await page.locator('main script, main img').count(), 0, row.key);
        }
      }
      assert.deepEqual(errors, []);
      await context.close();
    });

    it('work without scripts', async () => {
      const { page, context } = await open(browser, { javaScriptEnabled: false });
      await page.goto(full.url('/'));
      await page.getByRole('link', { name: '1 notification is dead' }).click();
      assert.equal(await page.locator('#notifications tbody tr').count(), 1);
      await page.locator('#notifications tbody a').click();
      await page.getByRole('link', { name: 'Replay' }).click();
      await page.getByRole('button', { name: 'Replay' }).click();
      await until('it is delivered', async () => (
        (await full.rows('--state', 'dead')).length === 0));
      await page.getByLabel('Payment, reference').fill('nowhere');
      await page.getByRole('button', { name: 'Find' }).click();
      assert.match(page.url(), /search\?q=nowhere/);
      await context.close();
    });
  });
}
