// Every page of the console: accessible in both themes and at every size, over both inboxes,
// whatever a sender has written, and without scripts of its own or anybody else's.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { SIZES, THEMES, check, launch, open } from './browser.mjs';
import { INBOXES, Pillarbox, until } from './pillarbox.mjs';

// Markup, an event handler, a closing of every element that a page could put it in, and characters
// that reorder and hide text.
const HOSTILE = `</pre></code></textarea></title></script><script>document.title='owned'</script>`
  + `<img src=x onerror="document.title='owned'"> \u202eevil\u2066\u0000\u001b[31m {{7*7}}`;

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

async function filled(inbox) {
  const pillarbox = await Pillarbox.start({ inbox });
  const message = join(pillarbox.folder, 'hostile.json');
  await writeFile(message, JSON.stringify({ text: HOSTILE }));
  await pillarbox.send('pay', '--count', '3');
  await pillarbox.send('pay', '--event', 'refunded');
  await pillarbox.send('hmrc', '--xml');
  await pillarbox.send('hmrc', '--message', message);
  const { length } = await pillarbox.rows();
  assert.equal(length, 6);
  return pillarbox;
}

const rowPath = (row) => `/notifications/${encodeURIComponent(row.key)}`;

for (const inbox of Object.keys(INBOXES)) {
  describe(`the pages over ${inbox}`, () => {
    let full;
    let empty;
    before(async () => {
      [full, empty] = [await filled(inbox), await Pillarbox.start({ inbox })];
    });
    after(() => Promise.all([full?.end(), empty?.end()]));

    for (const theme of THEMES) {
      for (const [size, options] of Object.entries(SIZES)) {
        // The pages are the same over every inbox.
        if (inbox !== 'sqlite' && theme !== THEMES[0]) continue;
        it(`are accessible in ${theme} ${size}`, async () => {
          const rows = await full.rows();
          const pages = [
            [full, '/'],
            [full, '/?source=pay&state=delivered'],
            [full, '/?state=dead'],
            [empty, '/'],
            [full, '/nowhere'],
            [full, '/notifications/pay:none'],
            ...['pay', 'hmrc'].flatMap((source) => {
              const row = rowPath(rows.find((one) => one.source === source));
              return [[full, row], [full, `${row}?bytes=show`]];
            }),
          ];
          const { page, context, errors } = await open(browser, { ...options, colorScheme: theme });
          for (const [pillarbox, path] of pages) {
            await page.goto(pillarbox.url(path));
            assert.equal(await page.locator('h1').count(), 1, path);
            assert.equal(await page.locator('html').getAttribute('lang'), 'en');
            await check(page, path);
          }
          assert.deepEqual(errors, []);
          await context.close();
        });
      }
    }

    it('show hostile text as text', async () => {
      const { page, context, errors } = await open(browser);
      for (const row of await full.rows('--source', 'hmrc')) {
        for (const path of [rowPath(row), `${rowPath(row)}?bytes=show`]) {
          await page.goto(full.url(path));
          const text = await page.locator('body').innerText();
          assert.doesNotMatch(text, /[\u202e\u2066\u0000\u001b]/, path);
          assert.notEqual(await page.title(), 'owned');
          assert.equal(await page.locator('main script, main img').count(), 0, path);
        }
      }
      assert.deepEqual(errors, []);
      await context.close();
    });

    it('work with scripts switched off', async () => {
      const { page, context } = await open(browser, { javaScriptEnabled: false });
      await page.goto(full.url('/'));
      assert.equal(await page.locator('tbody tr').count(), 6);
      await page.getByLabel('Source').fill('hmrc');
      await page.getByRole('button', { name: 'Filter' }).click();
      assert.equal(await page.locator('tbody tr').count(), 2);
      assert.match(page.url(), /source=hmrc/);
      await page.locator('tbody a').first().click();
      assert.match(page.url(), /notifications/);
      assert.ok(await page.getByText('SHA-256').count());
      await context.close();
    });
  });
}
