// A destination whose answers a test chooses.

import { createServer } from 'node:http';

export class Consumer {
  // Answers each event with `status`, until the test changes it.
  static async start(status = 200) {
    const consumer = new Consumer();
    consumer.status = status;
    consumer.keys = [];
    consumer.server = createServer((request, response) => {
      consumer.keys.push(request.headers['webhook-id']);
      request.resume().on('end', () => response.writeHead(consumer.status).end());
    });
    await new Promise((ready) => consumer.server.listen(0, '127.0.0.1', ready));
    return consumer;
  }

  // The configuration of this destination.
  get document() {
    return `
[destination]
kind = "https"
url = "http://127.0.0.1:${this.server.address().port}/events"
secret = "env:LEDGER_WHSEC"
`;
  }

  end() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
