// Runs the shipped `pillarbox` in a new folder, as a person would.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BINARY = process.env.PILLARBOX_TEST_BINARY;
export const HMRC_SECRET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
export const PAY_SECRET = 'webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu';

export const SOURCES = `
[sources.hmrc]
kind = "hmrc"
secrets = ["env:HMRC_PUSH_SECRET"]

[sources.pay]
kind = "govuk-pay"
secrets = ["env:PAY_SIGNING_SECRET"]
`;

// Both kinds of inbox. The table is in the emulator that PILLARBOX_TEST_DYNAMODB names.
export const INBOXES = {
  sqlite: () => 'sqlite:pillarbox.db',
  dynamodb: () => `dynamodb:browser-${Date.now()}-${process.pid}`,
};

export class Pillarbox {
  // Starts `serve` on free ports.
  static async start({ inbox = 'sqlite', document = SOURCES, flags = [] } = {}) {
    const folder = await mkdtemp(join(tmpdir(), 'pillarbox-'));
    await writeFile(join(folder, 'pillarbox.toml'), document);
    const pillarbox = new Pillarbox(folder, INBOXES[inbox](), flags);
    await pillarbox.run('inbox', 'init');
    await pillarbox.serve();
    return pillarbox;
  }

  constructor(folder, inbox, flags) {
    this.folder = folder;
    this.flags = flags;
    this.listen = '127.0.0.1:0';
    this.console = '127.0.0.1:0';
    this.env = {
      HMRC_PUSH_SECRET: HMRC_SECRET,
      PAY_SIGNING_SECRET: PAY_SECRET,
      LEDGER_WHSEC: 'whsec_cGlsbGFyYm94LXRlc3Qtc2VjcmV0LTMyLWJ5dGVzISE=',
      PILLARBOX_INBOX: inbox,
      PILLARBOX_LOG: 'warn',
      AWS_REGION: 'eu-west-2',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_ENDPOINT_URL_DYNAMODB: process.env.PILLARBOX_TEST_DYNAMODB ?? 'http://127.0.0.1:8000',
    };
  }

  // Starts `serve` and waits until it is ready. A restart keeps the ports.
  async serve() {
    const ports = ['--listen', this.listen, '--console', this.console];
    this.child = spawn(BINARY, ['serve', ...ports, ...this.flags], {
      cwd: this.folder, env: this.env, stdio: ['ignore', 'ignore', 'pipe'],
    });
    const printed = [];
    for await (const line of createInterface({ input: this.child.stderr })) {
      printed.push(line);
      const url = line.match(/http:\/\/(127\.0\.0\.1:\d+)(\/?)/);
      if (url && line.includes('/pay')) this.listen = url[1];
      if (url && /console/i.test(line)) this.console = url[1];
      if (line.includes('Ready.')) {
        this.child.stderr.resume();
        return;
      }
    }
    throw new Error(`serve did not start: ${printed.join('\n')}`);
  }

  url(path = '/') {
    return `http://${this.console}${path}`;
  }

  // Runs a command and returns its standard output. Exit code 1 is a negative result, not an error.
  run(...command) {
    return new Promise((resolve, reject) => {
      execFile(BINARY, command, { cwd: this.folder, env: this.env }, (error, stdout, stderr) => {
        if (error && error.code !== 1) reject(new Error(`${command}: ${stderr || error}`));
        else resolve(stdout);
      });
    });
  }

  send(source, ...flags) {
    return this.run('send', source, '--to', `http://${this.listen}/${source}`, ...flags);
  }

  async rows(...filters) {
    const lines = await this.run('list', '--json', ...filters);
    return lines.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }

  async stopServe() {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    if (this.child.exitCode === null && this.child.kill('SIGTERM')) await ended;
  }

  async restart() {
    await this.stopServe();
    await this.serve();
  }

  async end() {
    await this.stopServe();
    await rm(this.folder, { recursive: true, force: true });
  }
}

// Waits until `condition` holds. Only a failing test reaches the time limit.
export async function until(what, condition, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`after ${seconds} s still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
