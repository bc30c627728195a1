// The npm library http-message-signatures, as a client (`sign`) and as a server (`verify`); speaks
// as peer.py does.

import { createHash, createPrivateKey, createPublicKey, randomBytes } from "node:crypto";
import http from "node:http";
import { createRequire } from "node:module";
import { json } from "node:stream/consumers";

// The packages are not beside this file.
const require = createRequire(`${process.env.ZT_NODE_MODULES}/`);
const { createSigner, createVerifier, httpbis } = require("http-message-signatures");

const ANSWERS = "payments-answers";
const COMPONENTS = ["@method", "@authority", "@path", "@query"];

// Its verifiers of shared secrets take bytes, the others KeyObjects; `alg` goes by the names of the
// registry (RFC 9421 section 6.2.2).
function material(key, half) {
  if (key.alg === "hmac-sha256") return Buffer.from(key.secret, "hex");
  return half === "private" ? createPrivateKey(key.private) : createPublicKey(key.public);
}

// Digests are left to the application, in both directions.
function digestOf(body) {
  return `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
}

function flipped(signature) {
  const [head, value, tail] = signature.split(":");
  const raw = Buffer.from(value, "base64");
  raw[0] ^= 1;
  return `${head}:${raw.toString("base64")}:${tail}`;
}

function change(message, what) {
  const { headers } = message;
  switch (what) {
    case "method":
      message.method = "PUT";
      break;
    case "path":
      message.url = message.url.replace("/charges", "/refunds");
      break;
    case "query":
      message.url = message.url.replace("order=7", "order=8");
      break;
    case "host":
      headers.host = "elsewhere.test";
      break;
    case "body":
      message.body = `9${message.body.slice(1)}`;
      break;
    case "body and digest":
      message.body = `9${message.body.slice(1)}`;
      headers["content-digest"] = digestOf(message.body);
      break;
    case "created":
      headers["Signature-Input"] = headers["Signature-Input"].replace(
        /;created=(\d+)/,
        (_, created) => `;created=${Number(created) - 1}`,
      );
      break;
    case "nonce":
      headers["Signature-Input"] = headers["Signature-Input"].replace(
        /;nonce="(.)/,
        (_, first) => `;nonce="${first === "x" ? "y" : "x"}`,
      );
      break;
    case "signature":
      headers.Signature = flipped(headers.Signature);
      break;
    case "no signature":
      delete headers.Signature;
      delete headers["Signature-Input"];
      break;
    default:
      throw new Error(what);
  }
}

function send(message) {
  return new Promise((resolve, reject) => {
    const { protocol, hostname, port } = new URL(message.url);
    // As the text has it, not as `URL` would write it.
    const path = message.url.slice(message.url.indexOf("/", `${protocol}//`.length));
    const options = { hostname, port, path, method: message.method, headers: message.headers };
    const request = http.request({ ...options, timeout: 20_000 }, async (response) => {
      const pieces = [];
      for await (const piece of response) pieces.push(piece);
      const { statusCode: status, headers } = response;
      resolve({ status, headers, body: Buffer.concat(pieces) });
    });
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", reject);
    request.end(message.body ?? undefined);
  });
}

async function signAndSend(plan, one) {
  const what = one.change;
  // Not always the key that the id is of.
  const key = plan.keys[one.key];
  const covered = what === "method uncovered" ? COMPONENTS.slice(1) : [...COMPONENTS];
  const headers = {};
  if (one.body !== null) {
    headers["content-length"] = String(Buffer.byteLength(one.body));
    if (what !== "body uncovered") {
      headers["content-digest"] = digestOf(one.body);
      covered.push("content-digest");
    }
  }
  if (one.also !== null) covered.push(one.also);
  // Without `params` there is no nonce, since the default is `keyid`, `alg`, `created`, `expires`;
  // its value is `paramValues`. Times are of type Date.
  const params = ["created", "nonce", "keyid", "alg"].filter(
    (name) => name !== "nonce" || what !== "without nonce",
  );
  const message = await httpbis.signMessage(
    {
      key: createSigner(material(key, "private"), key.alg, one.keyid),
      name: "node",
      fields: covered,
      params,
      paramValues: {
        created: new Date(Date.now() - (what === "old" ? 120_000 : 0)),
        nonce: randomBytes(18).toString("base64url"),
      },
    },
    { method: one.method, url: plan.url + one.target, headers, body: one.body },
  );
  if (what === "replay") {
    await send(message);
  } else if (
    ![null, "old", "without nonce", "method uncovered", "body uncovered"].includes(what)
  ) {
    change(message, what);
  }
  const response = await send(message);
  const said = JSON.parse(response.body);
  return {
    name: one.name,
    status: response.status,
    code: said.code ?? null,
    why: response.headers["zt-why"] ?? null,
    said,
    answer: await answer(plan, message, response),
  };
}

async function verified(keys, message, requiredFields, request) {
  return httpbis.verifyMessage(
    {
      // Where it gives nothing, the signature does not count, and the result is null.
      keyLookup: async ({ keyid }) => {
        const key = keys[keyid];
        // `algs` is what `alg` is compared with: without it `alg` is not looked at.
        return key && {
          id: keyid,
          algs: [key.alg],
          verify: createVerifier(material(key, "public"), key.alg),
        };
      },
      maxAge: 60,
      requiredParams: ["created", "keyid", "alg"],
      requiredFields,
    },
    message,
    request,
  );
}

async function answer(plan, request, response) {
  try {
    // Compares names alone: it would also be content with the response's own `@method`.
    const required = ["@status", "content-type", "content-digest", ...COMPONENTS];
    if (request.headers.Signature) required.push("signature");
    const holds = await verified(plan.keys, response, required, request);
    if (holds !== true) return `not verified: ${holds}`;
    if (response.headers["content-digest"] !== digestOf(response.body)) return "another digest";
    const other = { ...response, status: response.status + 1 };
    const passes = await verified(plan.keys, other, required, request);
    return passes ? "another status passes, too" : "verified";
  } catch (error) {
    return `${error.constructor.name}: ${error.message}`;
  }
}

async function sign() {
  const plan = await json(process.stdin);
  for (const one of plan.cases) {
    console.log(JSON.stringify(await signAndSend(plan, one)));
  }
}

async function judge(keys, message) {
  const { headers, body } = message;
  const required = [...COMPONENTS, ...(body.length > 0 ? ["content-digest"] : [])];
  const holds = await verified(keys, message, required);
  if (holds !== true) throw new Error(`not verified: ${holds}`);
  if (body.length > 0 && headers["content-digest"] !== digestOf(body)) {
    throw new Error("another digest");
  }
  // It says yes or no; what it covers is read once more. One value of a component each.
  const base = httpbis.createSignatureBase({ fields: required }, message);
  const covered = Object.fromEntries(base.map(([name, [value]]) => [name, value]));
  const input = headers["signature-input"];
  const parameters = Object.fromEntries(
    [...input.matchAll(/;([a-z]+)=("[^"]*"|\d+)/g)].map(([, name, value]) => [
      name,
      JSON.parse(value),
    ]),
  );
  return { covered, parameters };
}

async function verify() {
  const { keys } = await json(process.stdin);
  const server = http.createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    const { method, headers } = request;
    const url = `http://${headers.host}${request.url}`;
    const message = { method, url, headers, body: Buffer.concat(pieces) };
    let [status, said] = [200];
    try {
      said = await judge(keys, message);
    } catch (error) {
      [status, said] = [401, { refused: `${error.constructor.name}: ${error.message}` }];
    }
    const text = JSON.stringify(said);
    const answered = await signed(keys, { status, text }, message);
    response.writeHead(status, answered.headers);
    response.end(text);
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

function signed(keys, { status, text }, request) {
  const ofTheRequest = COMPONENTS.map((name) => `"${name}";req`);
  const own = ["@status", "content-type", "content-digest"];
  const headers = {
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(text)),
    "content-digest": digestOf(text),
  };
  return httpbis.signMessage(
    {
      key: createSigner(material(keys[ANSWERS], "private"), keys[ANSWERS].alg, ANSWERS),
      fields: [...own, ...ofTheRequest, '"signature";req;key="sig1"'],
      params: ["created", "keyid", "alg"],
    },
    { status, headers },
    request,
  );
}

await { sign, verify }[process.argv[2]]();
