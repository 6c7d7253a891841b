// Judges the transactions of a run with libraries that share no code with the project:
// bitcoinjs-lib parses, computes txid and sighash (BIP 341, or BIP 143 for a wallet whose key lies
// in a token); tiny-secp256k1 verifies the Schnorr and ECDSA signatures.
//
//   node tests/npm/judge_transactions.mjs runs/<id>/state/transactions.ndjson
//
// Invariant: prints one line of JSON {transactions, inputs, failures[]}; exit 0 only when at least
// one transaction was judged and nothing failed, 1 on a failure, 2 when the file holds no
// transactions or is none of ours. Deliberately does not ask a node: whether a transaction is on
// the chain is judged elsewhere.
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as bitcoin from 'bitcoinjs-lib';
import * as ecc from 'tiny-secp256k1';

bitcoin.initEccLib(ecc); // taproot addresses are checked to be points on the curve

const kSighashDefault = 0x00; // BIP 341: the 64-byte signature form
const kSighashAll = 0x01;
const kNetwork = bitcoin.networks.regtest;

const toHex = (bytes) => Buffer.from(bytes).toString('hex');
const fromHex = (text) => Uint8Array.from(Buffer.from(text, 'hex'));
const outpointOf = (input) => `${toHex(Uint8Array.from(input.hash).reverse())}:${input.index}`;

class NoVerdict extends Error {}

function parseRecords(text) {
  const lines = text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));
  const header = lines.shift();
  if (header?.format !== 'roulette-transactions' || header.version !== 1) {
    throw new NoVerdict('the first line does not name roulette-transactions, version 1');
  }
  if (lines.length === 0) throw new NoVerdict('the file has no transactions');
  return lines;
}

// The x-only key of a pay-to-taproot script (OP_1 <32 bytes>, BIP 341), or null.
function taprootKey(script) {
  return script.length === 34 && script[0] === 0x51 && script[1] === 0x20 ? script.slice(2) : null;
}

// The key hash of a P2WPKH script (OP_0 <20 bytes>, BIP 141), or null.
function keyHash(script) {
  return script.length === 22 && script[0] === 0x00 && script[1] === 0x14 ? script.slice(2) : null;
}

function judgeKeyPath(tx, i, key, scripts, values, fail) {
  const { witness } = tx.ins[i];
  // One element of 64 bytes: key path, SIGHASH_DEFAULT, no annex.
  if (witness.length !== 1 || witness[0].length !== 64) {
    return fail(`input ${i} is no key-path spend with one 64-byte signature`);
  }
  const sighash = tx.hashForWitnessV1(i, scripts, values, kSighashDefault);
  if (!ecc.verifySchnorr(sighash, key, witness[0])) fail(`input ${i} has a wrong signature`);
}

// BIP 143 signs the script code of P2PKH. The strict flag refuses high S (BIP 146).
function judgeKeyHash(tx, i, hash, value, fail) {
  const { witness } = tx.ins[i];
  if (witness.length !== 2) return fail(`input ${i} has no witness of a signature and a key`);
  if (toHex(bitcoin.crypto.hash160(witness[1])) !== toHex(hash)) {
    return fail(`input ${i} shows another key than its prevout's`);
  }
  const { signature, hashType } = bitcoin.script.signature.decode(witness[0]);
  if (hashType !== kSighashAll) return fail(`input ${i} is signed with hash type ${hashType}`);
  const code = bitcoin.payments.p2pkh({ hash }).output;
  const sighash = tx.hashForWitnessV0(i, code, value, kSighashAll);
  if (!ecc.verify(sighash, witness[1], signature, true)) fail(`input ${i} has a wrong signature`);
}

function judgeInputs(record, tx, fail) {
  const prevouts = record.prevouts ?? [];
  if (prevouts.length !== tx.ins.length) {
    return fail(`${tx.ins.length} inputs but ${prevouts.length} prevouts`);
  }
  const scripts = prevouts.map((p) => fromHex(p.script));
  const values = prevouts.map((p) => BigInt(p.amount_sat));
  tx.ins.forEach((input, i) => {
    const listed = `${prevouts[i].txid}:${prevouts[i].vout}`;
    if (outpointOf(input) !== listed) fail(`input ${i} is not its prevout`);
    const key = taprootKey(scripts[i]);
    const hash = keyHash(scripts[i]);
    if (key !== null) return judgeKeyPath(tx, i, key, scripts, values, fail);
    if (hash !== null) return judgeKeyHash(tx, i, hash, values[i], fail);
    return fail(`input ${i} spends neither a taproot output nor a key hash`);
  });
  const spent = values.reduce((sum, value) => sum + value, 0n);
  const paid = tx.outs.reduce((sum, output) => sum + output.value, 0n);
  if (paid > spent) fail(`pays ${paid} from ${spent}`);
}

function judgeOutputs(record, tx, fail) {
  const script = toHex(bitcoin.address.toOutputScript(record.address, kNetwork));
  const paying = tx.outs.filter((output) => toHex(output.script) === script);
  if (paying.length !== 1) return fail(`${paying.length} outputs pay ${record.address}`);
  if (paying[0].value !== BigInt(record.amount_sat)) {
    fail(`pays ${paying[0].value} and not ${record.amount_sat}`);
  }
}

// What one transaction alone cannot show: an outpoint spent twice, an address paid twice, a prevout
// that lies about an output which another transaction of the file creates.
function judgeTogether(judged, fail) {
  const transactions = new Map(judged.map(({ tx }) => [tx.getId(), tx]));
  const spentBy = new Map();
  const addressOf = new Map(judged.map(({ record }) =>
    [toHex(bitcoin.address.toOutputScript(record.address, kNetwork)), record.address]));
  const payments = new Map();
  for (const { record, tx } of judged) {
    for (const input of tx.ins) {
      const outpoint = outpointOf(input);
      const other = spentBy.get(outpoint);
      if (other !== undefined) fail(record, `spends ${outpoint}, as ${other} does`);
      spentBy.set(outpoint, record.withdrawal_id);
    }
    for (const output of tx.outs) {
      const address = addressOf.get(toHex(output.script));
      if (address === undefined) continue;
      const other = payments.get(address);
      if (other !== undefined) fail(record, `pays ${address} again, as ${other} does`);
      payments.set(address, record.withdrawal_id);
    }
    for (const prevout of record.prevouts ?? []) {
      const parent = transactions.get(prevout.txid);
      if (parent === undefined) continue;
      const output = parent.outs[prevout.vout];
      const same = output !== undefined && output.value === BigInt(prevout.amount_sat) &&
        toHex(output.script) === prevout.script;
      if (!same) {
        fail(record,
             `its prevout ${prevout.txid}:${prevout.vout} is not what that transaction creates`);
      }
    }
  }
}

// {transactions, inputs, failures[]} of the text of a transactions.ndjson; throws when it is none.
export function judge(text) {
  const failures = [];
  const fail = (record, why) => failures.push(`withdrawal ${record.withdrawal_id}: ${why}`);
  const judged = [];
  for (const record of parseRecords(text)) {
    try {
      const tx = bitcoin.Transaction.fromHex(record.hex);
      const txid = tx.getId();
      if (txid !== record.txid) fail(record, `its txid is ${txid} and not ${record.txid}`);
      judgeInputs(record, tx, (why) => fail(record, why));
      judgeOutputs(record, tx, (why) => fail(record, why));
      judged.push({ record, tx });
    } catch (error) {
      fail(record, `cannot be judged: ${error.message}`);
    }
  }
  judgeTogether(judged, fail);
  const inputs = judged.reduce((sum, { tx }) => sum + tx.ins.length, 0);
  return { transactions: judged.length, inputs, failures };
}

function main(path) {
  let verdict;
  try {
    if (path === undefined) throw new NoVerdict('usage: judge_transactions.mjs FILE');
    verdict = judge(readFileSync(path, 'utf8'));
  } catch (error) {
    console.log(JSON.stringify({ transactions: 0, inputs: 0, failures: [error.message] }));
    return 2;
  }
  console.log(JSON.stringify(verdict));
  return verdict.failures.length === 0 ? 0 : 1;
}

// Started as a program and not imported by its test.
const started = process.argv[1] === undefined ? '' : realpathSync(process.argv[1]);
if (started === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv[2]);
