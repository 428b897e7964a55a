// Attacks on the console: from pages of other sites, and from programs that send any request.

import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { after, before, it } from 'node:test';

import { launch, open } from './browser.mjs';
import { Consumer } from './consumer.mjs';
import { Pillarbox, SOURCES, until } from './pillarbox.mjs';

let consumer;
let pillarbox;
before(async () => {
  consumer = await Consumer.start(400);
  const document = SOURCES + consumer.document;
  pillarbox = await Pillarbox.start({ document, flags: ['--allow-changes'] });
  await pillarbox.send('pay');
  await until('it is dead', async () => (await pillarbox.rows('--state', 'dead')).length === 1);
});
after(async () => {
  consumer?.end();
  await pillarbox?.end();
});

// Sends one request exactly as given, and returns the status, headers and body of the answer.
function send({ method = 'GET', path = '/', headers = {}, form }) {
  const [host, port] = pillarbox.console.split(':');
  const body = form && new URLSearchParams(form).toString();
  const type = body ? { 'content-type': 'application/x-www-form-urlencoded' } : {};
  return new Promise((resolve, reject) => {
    const options = { host, port, method, path, headers: { ...type, ...headers } };
    const sent = request(options, async (response) => {
      let text = '';
      for await (const piece of response) text += piece;
      resolve({ status: response.statusCode, headers: response.headers, text });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const token = async () => (await send({})).text.match(/name="csrf" value="([^"]+)"/)[1];

it('answers under loopback names only', async () => {
  for (const host of ['localhost', 'localhost:9999', '127.0.0.1:1', pillarbox.console]) {
    assert.equal((await send({ headers: { host } })).status, 200, host);
  }
  for (const host of ['evil.example', `evil.example:${pillarbox.console.split(':')[1]}`,
    'localhost.evil.example', '10.0.0.1', '127.0.0.1.evil.example']) {
    const answer = await send({ headers: { host } });
    assert.equal(answer.status, 421, host);
    assert.doesNotMatch(answer.text, /csrf|notifications/, host);
  }
});

it('accepts a form only with its token and from its own pages', async () => {
  const [row] = await pillarbox.rows();
  const csrf = await token();
  const origin = `http://${pillarbox.console}`;
  const replay = (form, headers) => send({
    method: 'POST', path: '/acts/replay', form: { key: row.key, ...form }, headers,
  });
  for (const [form, headers] of [
    [{}, { origin }],
    [{ csrf: '' }, { origin }],
    [{ csrf: `${csrf}0` }, { origin }],
    [{ csrf: csrf.slice(1) }, { origin }],
    [{ csrf }, { origin: 'http://evil.example' }],
    [{ csrf }, { origin: 'http://localhost:1' }],
    [{ csrf }, { origin: 'null' }],
    [{ csrf }, { 'sec-fetch-site': 'cross-site' }],
    [{ csrf }, { 'sec-fetch-site': 'same-site' }],
    [{ csrf }, {}],
  ]) {
    const answer = await replay(form, headers);
    assert.equal(answer.status, 403, JSON.stringify([form, headers]));
  }
  assert.equal((await pillarbox.rows('--state', 'dead')).length, 1);
  for (const path of ['/acts/replay', '/acts/discard', '/preferences']) {
    assert.equal((await send({ path: `${path}?csrf=${csrf}&key=${row.key}` })).status, 405, path);
  }
  consumer.status = 200;
  assert.equal((await replay({ csrf }, { origin })).status, 303);
  await until('it is delivered', async () => (
    (await pillarbox.rows('--state', 'delivered')).length === 1));
});

it('lets no other site read it, frame it or post to it', async () => {
  const [row] = await pillarbox.rows();
  const csrf = await token();
  const page = `<iframe src="${pillarbox.url()}"></iframe>
<form method="post" action="${pillarbox.url('/acts/discard')}">
<input name="csrf" value="${csrf}"><input name="key" value="${row.key}">
<button>Win</button></form>`;
  const evil = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end(page);
  });
  await new Promise((ready) => evil.listen(0, '127.0.0.1', ready));
  const browser = await launch();
  const { page: tab } = await open(browser);
  await tab.goto(`http://localhost:${evil.address().port}/`);
  const read = await tab.evaluate((url) => fetch(url).then(() => 'read', () => 'refused'),
    pillarbox.url());
  assert.equal(read, 'refused');
  const framed = tab.frames().find((frame) => frame !== tab.mainFrame());
  assert.doesNotMatch(await framed.content(), /Pillarbox/);
  await tab.getByRole('button', { name: 'Win' }).click();
  await tab.waitForLoadState();
  assert.equal((await pillarbox.rows('--state', 'discarded')).length, 0);
  await browser.close();
  evil.close();
});

it('sends its security headers with every page', async () => {
  const [row] = await pillarbox.rows();
  // Without `/live`, whose answer never ends.
  for (const path of ['/', '/notifications', '/nowhere', '/console.css', '/audit',
    `/notifications/${row.key}`]) {
    const { headers } = await send({ path });
    assert.match(headers['content-security-policy'], /default-src 'none'/, path);
    assert.doesNotMatch(headers['content-security-policy'], /unsafe/, path);
    assert.equal(headers['x-content-type-options'], 'nosniff', path);
    assert.equal(headers['cache-control'], 'no-store', path);
    assert.equal(headers['referrer-policy'], 'no-referrer', path);
    assert.ok(!Object.keys(headers).some((name) => name.startsWith('access-control')), path);
  }
});
