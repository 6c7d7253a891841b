// The judge judged: a well-formed file passes, and every single lie planted into it is reported.
//
// Invariant: each case changes one thing in a file that otherwise passes. Keys here are fixed test
// keys; nothing of the project runs. Deliberately no network and no node.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import * as bitcoin from 'bitcoinjs-lib';
import * as ecc from 'tiny-secp256k1';
import { judge } from './judge_transactions.mjs';

bitcoin.initEccLib(ecc);
const kJudge = join(dirname(fileURLToPath(import.meta.url)), 'judge_transactions.mjs');
const kFee = 500n;

const toHex = (bytes) => Buffer.from(bytes).toString('hex');
const secretKey = (fill) => new Uint8Array(32).fill(fill);
const xOnly = (secret) => ecc.pointFromScalar(secret, true).slice(1);
const taprootScript = (key) => Uint8Array.from([0x51, 0x20, ...key]);
const taprootAddress = (key) => bitcoin.address.toBech32(key, 1, bitcoin.networks.regtest.bech32);

const kWallet = secretKey(7);
const kWalletScript = taprootScript(xOnly(kWallet));

// The same wallet with its key in a token: P2WPKH (BIP 143), low S.
const kKey = ecc.pointFromScalar(kWallet, true);
const kKeyHash = bitcoin.crypto.hash160(kKey);
const kHashScript = Uint8Array.from([0x00, 0x14, ...kKeyHash]);
const kOrder = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

// r || s with the other s: valid ECDSA, which the network does not take (BIP 146).
function withOtherS(signature) {
  const s = kOrder - BigInt(`0x${toHex(signature.slice(32))}`);
  return Uint8Array.from([...signature.slice(0, 32),
                          ...Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
}

function signByHash(tx, prevouts, { hashType = 0x01, highS = false } = {}) {
  const code = bitcoin.payments.p2pkh({ hash: kKeyHash }).output;
  prevouts.forEach((p, i) => {
    const low = ecc.sign(tx.hashForWitnessV0(i, code, BigInt(p.amount_sat), hashType), kWallet);
    const der = bitcoin.script.signature.encode(highS ? withOtherS(low) : low, hashType);
    tx.setWitness(i, [der, kKey]);
  });
}

function sign(tx, prevouts, { hashType = 0x00 } = {}) {
  const scripts = prevouts.map((p) => Uint8Array.from(Buffer.from(p.script, 'hex')));
  const values = prevouts.map((p) => BigInt(p.amount_sat));
  tx.ins.forEach((_, i) => {
    const signature = ecc.signSchnorr(tx.hashForWitnessV1(i, scripts, values, hashType), kWallet);
    tx.setWitness(i, [hashType === 0 ? signature : Uint8Array.from([...signature, hashType])]);
  });
}

// One withdrawal that spends `prevouts` and pays `amount` to a fresh address; the rest returns to
// the wallet.
function withdrawal(id, prevouts, amount, options = {}) {
  const recipient = xOnly(secretKey(options.recipient ?? 20 + id));
  const tx = new bitcoin.Transaction();
  tx.version = 2;
  for (const p of prevouts) {
    tx.addInput(Uint8Array.from(Buffer.from(p.txid, 'hex')).reverse(), p.vout, 0xfffffffd);
  }
  tx.addOutput(taprootScript(recipient), BigInt(amount));
  if (options.payTwice) tx.addOutput(taprootScript(recipient), BigInt(amount));
  const spent = prevouts.reduce((sum, p) => sum + BigInt(p.amount_sat), 0n);
  tx.addOutput(kWalletScript, spent - BigInt(amount) - kFee);
  if (options.byHash) signByHash(tx, prevouts, options);
  else sign(tx, prevouts, options);
  return {
    withdrawal_id: `w${id}`, idempotency_key: `k${id}`,
    address: taprootAddress(recipient), amount_sat: amount,
    txid: tx.getId(), hex: tx.toHex(), prevouts,
  };
}

const coin = (fill, vout, amount) =>
  ({ txid: toHex(secretKey(fill)), vout, amount_sat: amount, script: toHex(kWalletScript) });

// Two inputs in the first, and the second spends the first one's change.
function honest(options = {}) {
  const first = withdrawal(1, [coin(1, 0, 70000), coin(2, 1, 50000)], 100000);
  const change = { txid: first.txid, vout: 1, amount_sat: 19500, script: toHex(kWalletScript) };
  return [first, withdrawal(2, [change], 9000, options), withdrawal(3, [coin(3, 0, 40000)], 30000)];
}

const kHeader = { format: 'roulette-transactions', version: 1 };
const asText = (records, header = kHeader) =>
  [header, ...records].map((r) => `${JSON.stringify(r)}\n`).join('');

// The program's exit status and output for a file of these records.
function run(records, header) {
  const folder = mkdtempSync(join(tmpdir(), 'judge-'));
  try {
    const path = join(folder, 'transactions.ndjson');
    writeFileSync(path, asText(records, header));
    const done = spawnSync(process.execPath, [kJudge, path], { encoding: 'utf8' });
    assert.equal(done.stderr, '');
    return { status: done.status, ...JSON.parse(done.stdout) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function rejects(records, pattern) {
  assert.match(judge(asText(records)).failures.join('\n'), pattern);
}

test('honest transactions pass and all are counted', () => {
  assert.deepEqual(run(honest()), { status: 0, transactions: 3, inputs: 4, failures: [] });
});

test('a signature with one flipped bit is reported', () => {
  const records = honest();
  const tx = bitcoin.Transaction.fromHex(records[0].hex);
  tx.ins[1].witness[0][40] ^= 1;
  records[0].hex = tx.toHex();
  rejects(records, /w1: input 1 has a wrong signature/);
});

test('a prevout amount other than the signed one is reported', () => {
  const records = honest();
  records[2].prevouts[0] = { ...records[2].prevouts[0], amount_sat: 40001 };
  rejects(records, /w3: input 0 has a wrong signature/);
});

test('a prevout that lies about an output of the file is reported, even when signed so', () => {
  const records = honest();
  const lie = { ...records[1].prevouts[0], amount_sat: 19600 };
  records[1] = withdrawal(2, [lie], 9000);
  rejects(records, /w2: its prevout .* is not what that transaction creates/);
});

test('a signature of another sighash type is reported', () => {
  rejects(honest({ hashType: 0x01 }),
          /w2: input 0 is no key-path spend with one 64-byte signature/);
});

const hashCoin = (fill, vout, amount) =>
  ({ ...coin(fill, vout, amount), script: toHex(kHashScript) });
const byHash = (options = {}) =>
  [withdrawal(1, [hashCoin(1, 0, 70000), hashCoin(2, 1, 50000)], 100000,
              { byHash: true, ...options })];

test('payments out of key hashes pass', () => {
  assert.deepEqual(run(byHash()), { status: 0, transactions: 1, inputs: 2, failures: [] });
});

test('high S, another hash type, another key and another amount are reported', () => {
  rejects(byHash({ highS: true }), /w1: input 0 has a wrong signature/);
  rejects(byHash({ hashType: 0x02 }), /w1: input 0 is signed with hash type 2/);
  const other = byHash();
  const tx = bitcoin.Transaction.fromHex(other[0].hex);
  tx.ins[1].witness[1] = ecc.pointFromScalar(secretKey(8), true);
  other[0].hex = tx.toHex();
  rejects(other, /w1: input 1 shows another key/);
  const lied = byHash();
  lied[0].prevouts[1] = { ...lied[0].prevouts[1], amount_sat: 50001 };
  rejects(lied, /w1: input 1 has a wrong signature/);
});

test('a wrong txid is reported', () => {
  const records = honest();
  records[2].txid = toHex(secretKey(9));
  rejects(records, /w3: its txid is/);
});

test('a wrong amount is reported', () => {
  const records = honest();
  records[2].amount_sat += 1;
  rejects(records, /w3: pays 30000 and not 30001/);
});

test('a payment to somebody else is reported', () => {
  const records = honest();
  records[2].address = taprootAddress(xOnly(secretKey(99)));
  rejects(records, /w3: 0 outputs pay/);
});

test('two outputs to one address in one transaction are reported', () => {
  rejects(honest({ payTwice: true }), /w2: 2 outputs pay/);
});

test('an address paid by two transactions is reported', () => {
  const records = honest();
  records[2] = withdrawal(3, [coin(3, 0, 40000)], 30000, { recipient: 21 });
  rejects(records, /w3: pays .* again, as w1 does/);
});

test('an outpoint spent by two transactions is reported', () => {
  const records = honest();
  records[2] = withdrawal(3, [coin(1, 0, 70000)], 30000);
  rejects(records, /w3: spends .*:0, as w1 does/);
});

test('inputs that are not the listed prevouts are reported', () => {
  const records = honest();
  records[0].prevouts = [...records[0].prevouts].reverse();
  rejects(records, /w1: input 0 is not its prevout/);
});

test('bytes that are no transaction are reported', () => {
  const records = honest();
  records[0].hex = records[0].hex.slice(0, -2);
  rejects(records, /w1: cannot be judged: .*(range|bounds|end|data)/i);
});

test('the exit status is 1 for a failure and 2 for a file without transactions', () => {
  const records = honest();
  records[2].amount_sat += 1;
  assert.equal(run(records).status, 1);
  assert.equal(run([]).status, 2);
  const other = { format: 'roulette-transactions', version: 2 };
  assert.throws(() => judge(asText(honest(), other)), /version/);
  assert.throws(() => judge('not json\n'));
});
