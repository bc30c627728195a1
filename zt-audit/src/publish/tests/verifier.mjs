// Verifies a published log from its files alone: C2SP tlog-tiles, tlog-checkpoint, signed-note,
// tlog-cosignature and RFC 6962, with nothing but Node's own SHA-256 and Ed25519.
//
//   node verifier.mjs DIR VKEY [MINIMUM_INDEX]
//
// It prints one line of JSON, and ends with 0 only when every signature, every tile, the root, every
// inclusion proof and the consistency proofs are good.

import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync, existsSync } from "node:fs";
import { join } from "node:path";

const [dir, vkey, minimumText] = process.argv.slice(2);
const minimum = Number(minimumText ?? 0);

function must(condition, what) {
  if (!condition) {
    console.error(`refused: ${what}`);
    process.exit(1);
  }
}

const sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);
const nodeHash = (left, right) => sha256(NODE, left, right);
const strictBase64 = (text) => {
  const bytes = Buffer.from(text, "base64");
  must(bytes.toString("base64") === text, "base64 is not canonical");
  return bytes;
};

// The verifier key: name, id, algorithm and key.
const [name, idHex] = vkey.split("+", 2);
const keyBytes = strictBase64(vkey.slice(name.length + idHex.length + 2));
must(keyBytes.length === 33 && keyBytes[0] === 1, "the key is no Ed25519 key");
const idOf = (algorithm) =>
  sha256(name, "\n", Buffer.from([algorithm]), keyBytes.subarray(1)).subarray(0, 4);
must(idOf(1).toString("hex") === idHex, "the key's id is not its own");
const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), keyBytes.subarray(1)]);
const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });

// The checkpoint.
const note = readFileSync(join(dir, "checkpoint"), "utf8");
const divide = note.lastIndexOf("\n\n");
must(divide > 0 && note.endsWith("\n"), "no signed note");
const text = note.slice(0, divide + 1);
const [origin, sizeText, rootText, ...more] = text.slice(0, -1).split("\n");
must(origin === name, "the origin is not the key's name");
must(/^(0|[1-9][0-9]*)$/.test(sizeText), "no size");
must(more.length === 0, "lines that nobody asked for");
const size = Number(sizeText);
const root = strictBase64(rootText);
let signatures = 0;
let cosignatures = 0;
for (const line of note.slice(divide + 2, -1).split("\n")) {
  const match = /^\u2014 ([^ +]+) ([A-Za-z0-9+/=]+)$/.exec(line);
  must(match, "no signature line");
  const bytes = strictBase64(match[2]);
  if (match[1] !== name) continue;
  const id = bytes.subarray(0, 4);
  if (id.equals(idOf(1))) {
    must(verify(null, Buffer.from(text), publicKey, bytes.subarray(4)), "a signature is wrong");
    signatures += 1;
  } else if (id.equals(idOf(4))) {
    const time = bytes.readBigUInt64BE(4);
    const message = `cosignature/v1\ntime ${time}\n${text}`;
    must(bytes.length === 76, "a cosignature of another length");
    must(verify(null, Buffer.from(message), publicKey, bytes.subarray(12)), "a cosignature is wrong");
    cosignatures += 1;
  }
}
must(signatures > 0, "nobody signed it");

// The tiles.
const placeOf = (index) => {
  let place = String(index % 1000).padStart(3, "0");
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    place = `x${String(rest % 1000).padStart(3, "0")}/${place}`;
  }
  return place;
};
const tilePath = (level, index, width) =>
  join(dir, "tile", String(level), placeOf(index) + (width < 256 ? `.p/${width}` : ""));
const hashesAt = (level) => Math.floor(size / 256 ** level);
const rows = []; // rows[level][index]: the hash of 256^level leaves
let tiles = 0;
for (let level = 0; hashesAt(level) > 0; level += 1) {
  const count = hashesAt(level);
  rows.push([]);
  for (let tile = Math.floor(minimum / 256 ** (level + 1)); tile * 256 < count; tile += 1) {
    const width = Math.min(256, count - tile * 256);
    const bytes = readFileSync(tilePath(level, tile, width));
    must(bytes.length === width * 32, `tile ${level}/${tile} is not ${width} hashes long`);
    for (let i = 0; i < width; i += 1) {
      rows[level][tile * 256 + i] = bytes.subarray(i * 32, i * 32 + 32);
    }
    tiles += 1;
  }
}

// MTH over leaves begin..end (RFC 6962, section 2.1), from the tiles.
const known = new Map();
function mth(begin, end) {
  const count = end - begin;
  const level = Math.log(count) / Math.log(256);
  const whole = Math.round(level);
  if (256 ** whole === count && begin % count === 0 && rows[whole]?.[begin / count]) {
    return rows[whole][begin / count];
  }
  const key = `${begin}-${end}`;
  if (!known.has(key)) {
    must(count > 1, `the hash of record ${begin} is not there`);
    let k = 1;
    while (k * 2 < count) k *= 2;
    known.set(key, nodeHash(mth(begin, begin + k), mth(begin + k, end)));
  }
  return known.get(key);
}
must(mth(0, size).equals(root), "the tiles have another root");
// Each hash of a tile above the lowest is that of the full tile below it.
for (let level = 1; level < rows.length; level += 1) {
  rows[level].forEach((hash, index) => {
    if ((index * 256 ** level) < minimum) return;
    let row = rows[level - 1].slice(index * 256, index * 256 + 256);
    while (row.length > 1) {
      row = row.filter((_, i) => i % 2 === 0).map((left, i) => nodeHash(left, row[2 * i + 1]));
    }
    must(row[0].equals(hash), `hash ${index} of level ${level} is not that of its tile`);
  });
}

// The records.
let records = 0;
for (let bundle = Math.floor(minimum / 256); bundle * 256 < size; bundle += 1) {
  const width = Math.min(256, size - bundle * 256);
  const place = placeOf(bundle) + (width < 256 ? `.p/${width}` : "");
  const bytes = readFileSync(join(dir, "tile", "entries", place));
  let at = 0;
  for (let i = 0; i < width; i += 1) {
    const length = bytes.readUInt16BE(at);
    const record = bytes.subarray(at + 2, at + 2 + length);
    must(record.length === length, `record ${bundle * 256 + i} is cut`);
    at += 2 + length;
    const leaf = rows[0][bundle * 256 + i];
    must(sha256(LEAF, record).equals(leaf), `record ${bundle * 256 + i} has another hash`);
    const parsed = JSON.parse(record.toString("utf8"));
    must(parsed.idx === bundle * 256 + i && parsed.origin === origin, "a record of another place");
    records += 1;
  }
  must(at === bytes.length, `bundle ${bundle} is longer than its records`);
}

// RFC 6962, sections 2.1.1 and 2.1.2: what a prover sends.
function path(m, begin, end) {
  const proof = [];
  while (end - begin > 1) {
    let k = 1;
    while (k * 2 < end - begin) k *= 2;
    if (m < begin + k) {
      proof.unshift(mth(begin + k, end));
      end = begin + k;
    } else {
      proof.unshift(mth(begin, begin + k));
      begin += k;
    }
  }
  return proof;
}
function subproof(m, begin, end, complete) {
  if (m === end) return complete ? [] : [mth(begin, end)];
  let k = 1;
  while (k * 2 < end - begin) k *= 2;
  return m <= begin + k
    ? [...subproof(m, begin, begin + k, complete), mth(begin + k, end)]
    : [...subproof(m, begin + k, end, false), mth(begin, begin + k)];
}

// RFC 9162, sections 2.1.3.2 and 2.1.4.2: what a client does with it.
function included(index, treeSize, leaf, proof, expected) {
  let fn = index;
  let sn = treeSize - 1;
  let r = leaf;
  for (const p of proof) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      r = nodeHash(p, r);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else {
      r = nodeHash(r, p);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 && r.equals(expected);
}
function consistent(first, second, firstRoot, secondRoot, sent) {
  if (first === second) return sent.length === 0 && firstRoot.equals(secondRoot);
  const proof = Number.isInteger(Math.log2(first)) ? [firstRoot, ...sent] : sent;
  let fn = first - 1;
  let sn = second - 1;
  while (fn % 2 === 1) {
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  let [fr] = proof;
  let sr = fr;
  for (const c of proof.slice(1)) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(c, fr);
      sr = nodeHash(c, sr);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else {
      sr = nodeHash(sr, c);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 && fr.equals(firstRoot) && sr.equals(secondRoot);
}

let inclusions = 0;
for (let index = minimum; index < size; index += 1) {
  const good = included(index, size, rows[0][index], path(index, 0, size), root);
  must(good, `record ${index} is not proved`);
  inclusions += 1;
}
let consistencies = 0;
for (let old = Math.max(1, minimum); old <= size; old += 1) {
  // To the signed tree, and to those that are not much larger.
  const others = new Set([size]);
  for (let other = old; other <= Math.min(size, old + 20); other += 1) others.add(other);
  for (const other of others) {
    const proof = subproof(old, 0, other, true);
    const good = consistent(old, other, mth(0, old), mth(0, other), proof);
    must(good, `the tree of ${other} is not proved to go on from that of ${old}`);
    consistencies += 1;
  }
}
must(!existsSync(join(dir, "tile", "0", placeOf(Math.floor(size / 256)))), "more than was signed");

console.log(
  JSON.stringify({ origin, size, signatures, cosignatures, tiles, records, inclusions, consistencies }),
);
