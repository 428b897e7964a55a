// What an operator does with the console: waits for a notification, finds it, opens it, reveals a
// field, and replays one or many, with a mouse or with the keyboard.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';

import { launch, open } from './browser.mjs';
import { Consumer } from './consumer.mjs';
import { Pillarbox, SOURCES, until } from './pillarbox.mjs';

let browser;
let consumer;
let pillarbox;
let tab;
before(async () => { browser = await launch(); });
after(() => browser.close());

beforeEach(async () => {
  consumer = await Consumer.start();
  const document = SOURCES + consumer.document;
  pillarbox = await Pillarbox.start({ document, flags: ['--allow-changes'] });
});
afterEach(async () => {
  assert.deepEqual(tab?.errors ?? [], []);
  await tab?.context.close();
  tab = undefined;
  consumer.end();
  await pillarbox.end();
});

const rows = (page) => page.locator('#notifications tbody tr');
const keys = (page) => rows(page).evaluateAll((all) => all.map((row) => row.dataset.key));
const waitForConnection = (page) => page.locator('#live-state[data-state=connected]').waitFor();
const waitForCount = (page, text) => page.locator('#live-count', { hasText: text }).waitFor();

async function openList(path = '/notifications') {
  tab = await open(browser);
  await tab.page.goto(pillarbox.url(path));
  return tab.page;
}

// Makes this many dead notifications: the destination refuses them permanently.
async function makeDead(count) {
  consumer.status = 400;
  await pillarbox.send('pay', '--count', String(count));
  await until('all are dead', async () => (
    (await pillarbox.rows('--state', 'dead')).length === count));
  consumer.status = 200;
  consumer.keys.length = 0;
}

describe('the live list', () => {
  it('counts new notifications, moves no row, and shows them on request', async () => {
    await pillarbox.send('pay', '--count', '3');
    const page = await openList();
    await waitForConnection(page);
    const link = rows(page).nth(1).locator('a');
    await link.focus();
    const [before, listed] = [await link.boundingBox(), await keys(page)];
    await pillarbox.send('hmrc', '--xml');
    await waitForCount(page, '1 new notification');
    assert.match(await page.title(), /^\(1 new\)/);
    assert.deepEqual(await keys(page), listed);
    assert.deepEqual(await link.boundingBox(), before);
    assert.ok(await link.evaluate((one) => one === document.activeElement));
    await until('the count is announced', async () => (
      (await page.getByRole('status').innerText()) === '1 new notification'));
    await page.getByRole('button', { name: 'show', exact: true }).click();
    assert.deepEqual((await keys(page)).slice(1), listed);
    assert.ok(await rows(page).first().locator('a').evaluate((a) => a === document.activeElement));
  });

  it('changes the state of a row in place', async () => {
    consumer.status = 503;
    await pillarbox.send('pay');
    const page = await openList();
    await waitForConnection(page);
    consumer.status = 200;
    await rows(page).getByText('delivered').waitFor({ timeout: 30_000 });
  });

  it('pauses, also after a reload, and counts missed notifications when resumed', async () => {
    await pillarbox.send('pay');
    const page = await openList();
    await waitForConnection(page);
    await page.getByRole('button', { name: 'Pause updates' }).click();
    await pillarbox.send('pay');
    await page.waitForTimeout(1500);
    assert.ok(await page.locator('#live-new').isHidden());
    await page.getByRole('button', { name: 'Resume updates' }).click();
    await waitForCount(page, '1 new notification');
    await page.getByRole('button', { name: 'Pause updates' }).click();
    await page.reload();
    assert.equal(await page.locator('#live-state').innerText(), 'Paused');
  });

  it('shows each notification once across a restart', async () => {
    await pillarbox.send('pay');
    const page = await openList();
    await waitForConnection(page);
    await pillarbox.send('pay');
    await waitForCount(page, '1 new notification');
    await pillarbox.stopServe();
    await page.locator('#live-state[data-state=reconnecting]').waitFor();
    await pillarbox.serve();
    await pillarbox.send('pay', '--count', '2');
    await waitForCount(page, '3 new notifications');
    await page.getByRole('button', { name: 'show', exact: true }).click();
    const shown = await keys(page);
    assert.equal(new Set(shown).size, 4, String(shown));
    assert.deepEqual([...shown].sort(), (await pillarbox.rows()).map((row) => row.key).sort());
  });

  it('keeps its filter in the address', async () => {
    await pillarbox.send('pay', '--count', '2');
    await pillarbox.send('hmrc', '--xml');
    const page = await openList();
    await page.getByLabel('Source').fill('hmrc');
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.waitForURL(/source=hmrc/);
    await page.reload();
    assert.equal(await page.getByLabel('Source').inputValue(), 'hmrc');
    assert.equal(await rows(page).count(), 1);
    await waitForConnection(page);
    await pillarbox.send('pay');
    await pillarbox.send('hmrc', '--xml');
    await waitForCount(page, '1 new notification');
  });
});

describe('an operator', () => {
  it('finds a payment by the reference of the service, and opens it', async () => {
    await pillarbox.send('pay', '--count', '2');
    const [row] = await pillarbox.rows();
    const body = JSON.parse(await pillarbox.run('show', '--raw', row.key));
    const page = await openList('/');
    await page.getByLabel('Payment, reference').fill(body.resource.reference);
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByText(row.subject, { exact: true }).first().waitFor();
    await page.locator('#events').getByRole('link').click();
    assert.equal(await page.locator('#key').innerText(), row.key);
  });

  it('reveals one field, and the audit trail records it', async () => {
    await pillarbox.send('pay');
    const [row] = await pillarbox.rows();
    const path = `/notifications/${encodeURIComponent(row.key)}`;
    const page = await openList(path);
    const masked = page.locator('.masked');
    const hidden = await masked.count();
    assert.ok(hidden > 3, `${hidden} masked`);
    const { email } = JSON.parse(await pillarbox.run('show', '--raw', row.key)).resource;
    assert.doesNotMatch(await page.content(), new RegExp(email.replace('+', '\\+')));
    await page.getByRole('button', { name: /^Show resource\.email/ }).click();
    assert.equal(await masked.count(), hidden - 1);
    assert.ok((await page.locator('mark').innerText()).includes(email));
    const audit = await pillarbox.run('audit', '--json');
    assert.match(audit, /"unmask"/);
    assert.ok(!audit.includes(email));
    await page.goto(pillarbox.url(path));
    assert.equal(await masked.count(), hidden, 'the field is masked again');
  });

  it('replays a notification with the keyboard alone', async () => {
    await makeDead(2);
    const page = await openList('/notifications?state=dead');
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('k');
    const [key] = await keys(page);
    await page.keyboard.press('Enter');
    await page.waitForURL(/notifications\/pay/);
    assert.equal(await page.locator('#key').innerText(), key);
    await page.keyboard.press('r');
    await page.getByRole('button', { name: 'Replay' }).waitFor();
    for (let tabs = 0; tabs < 40; tabs += 1) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(() => document.activeElement.textContent === 'Replay')) break;
    }
    await page.keyboard.press('Enter');
    await until('it is delivered', () => consumer.keys.includes(key));
    assert.deepEqual(consumer.keys, [key]);
  });

  it('turns keyboard shortcuts off', async () => {
    await pillarbox.send('pay');
    const page = await openList();
    await page.getByRole('button', { name: 'Turn keyboard shortcuts off' }).click();
    await page.keyboard.press('j');
    const link = rows(page).locator('a').first();
    assert.ok(!(await link.evaluate((a) => a === document.activeElement)));
  });

  it('replays many at a limited rate, and stops on request', async () => {
    await makeDead(12);
    const page = await openList('/notifications?state=dead');
    await page.getByRole('link', { name: 'Replay all that match' }).click();
    await page.getByRole('heading', { name: 'Replay 12 notifications?' }).waitFor();
    await page.getByLabel('How many a second').fill('2');
    await page.getByRole('button', { name: 'Replay 12' }).click();
    await until('some are delivered', () => consumer.keys.length >= 2);
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await page.getByRole('heading', { name: /stopped/i }).waitFor();
    const { length } = consumer.keys;
    assert.ok(length < 12, `${length} of 12`);
    assert.match(await pillarbox.run('audit', '--json'), /"stopped"/);
  });
});
