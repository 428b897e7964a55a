// A handler of messages of GOV.UK Pay and HMRC, as an existing service would have it.

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const secrets = { pay: process.env.PAY_SIGNING_SECRET, hmrc: process.env.HMRC_PUSH_SECRET };
// HMRC signs a character beyond U+FFFF as itself, and sends it as two escapes.
const pair = /(\\\\)|\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})/gi;

const asSigned = (body) =>
  body.toString("utf8").replace(pair, (all, escape, high, low) =>
    escape ?? String.fromCharCode(parseInt(high, 16), parseInt(low, 16)));

const matches = (given, algorithm, secret, form) => {
  const expected = Buffer.from(createHmac(algorithm, secret).update(form).digest("hex"));
  return given.length === expected.length && timingSafeEqual(Buffer.from(given), expected);
};

const isGenuine = (headers, body) => {
  const pay = headers["pay-signature"];
  const hmrc = headers["x-hub-signature"];
  if (pay) return matches(pay, "sha256", secrets.pay, body);
  if (hmrc) return [body, asSigned(body)].some((form) => matches(hmrc, "sha1", secrets.hmrc, form));
  return false;
};

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const { headers } = request;
    const body = Buffer.concat(parts);
    const genuine = isGenuine(headers, body);
    JSON.parse(body.toString("utf8"));
    const signature = headers["pay-signature"] ?? headers["x-hub-signature"];
    const digest = createHash("sha256").update(body).digest("hex");
    console.log(genuine ? "genuine" : "forged", headers["content-type"], signature, digest,
      headers["webhook-id"] ?? "-");
    response.writeHead(genuine ? 200 : 401, { "content-length": 0 }).end();
  });
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/handler`));
