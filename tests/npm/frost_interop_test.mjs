// @noble/curves' schnorr_FROST and our frost-tr sign in the same sessions.
//
// Invariant: in every session at least one signer is of each side; the signature is made by both
// coordinators from the same shares, must be the same, and is verified by a third library
// (tiny-secp256k1) under the key that all three agree on. Ids are 0.. here and 1.. there.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, webcrypto } from 'node:crypto';
import { createInterface } from 'node:readline';
import test from 'node:test';
import * as ecc from 'tiny-secp256k1';

globalThis.crypto ??= webcrypto; // Debian 12's node has it under another name
const { schnorr_FROST: theirs, secp256k1 } = await import('@noble/curves/secp256k1.js');

const { Point } = secp256k1;
const { Fn } = Point;
const toHex = (bytes) => Buffer.from(bytes).toString('hex');
const fromHex = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'));
const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash('sha256')).digest();
const identifier = (id) => theirs.Identifier.fromNumber(Number(id) + 1);
const isOdd = (compressed) => compressed[0] === 3;

class OurPeer {
  constructor(path) {
    this.child = spawn(path, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }
  async ask(what, question = {}) {
    this.child.stdin.write(`${JSON.stringify({ ask: what, ...question })}\n`);
    const { value, done } = await this.lines.next();
    assert.ok(!done, `our peer ended at ${what}`);
    return JSON.parse(value);
  }
  end() {
    this.child.stdin.end();
  }
}

// BIP 341 without a script tree, as PROTOCOL of frost-secp256k1-tr has it: the key is made even
// first, then t = TapTweak(x) is added to it, to every share and every verifying share.
function tweaked(group) {
  const tag = sha256('TapTweak');
  const t = Fn.fromBytes(sha256(tag, tag, group.key.slice(1)), true);
  const flip = isOdd(group.key);
  const point = (bytes) => {
    const p = Point.fromBytes(bytes);
    return (flip ? p.negate() : p).add(Point.BASE.multiply(t)).toBytes(true);
  };
  const scalar = (bytes) => {
    const s = Fn.fromBytes(bytes);
    return Fn.toBytes(Fn.add(flip ? Fn.neg(s) : s, t));
  };
  const each = (of, f) => Object.fromEntries(Object.entries(of).map(([id, v]) => [id, f(v)]));
  return { ...group, key: point(group.key), public: each(group.public, point),
           secret: each(group.secret, scalar) };
}

// The same group as their packages.
function packages(group) {
  const verifyingShares = {};
  for (const [id, share] of Object.entries(group.public)) verifyingShares[identifier(id)] = share;
  const commitments = [group.key];
  while (commitments.length < group.t) commitments.push(group.key); // only the first one is used
  return {
    public: { signers: { min: group.t, max: group.n }, commitments, verifyingShares },
    secret: (id) => ({ identifier: identifier(id), signingShare: group.secret[id] }),
  };
}

async function dealtByUs(peer, n, t, seed) {
  const dealt = await peer.ask('deal', { n, t, seed });
  const each = (of) => Object.fromEntries(Object.entries(of).map(([id, v]) => [id, fromHex(v)]));
  return { n, t, key: fromHex(dealt.key), public: each(dealt.public), secret: each(dealt.secret) };
}

function dealtByThem(n, t) {
  const ids = [...Array(n).keys()].map(String);
  const dealt = theirs.trustedDealer({ min: t, max: n }, ids.map(identifier));
  const pick = (f) => Object.fromEntries(ids.map((id) => [id, f(identifier(id))]));
  return { n, t, key: dealt.public.commitments[0],
           public: pick((id) => dealt.public.verifyingShares[id]),
           secret: pick((id) => dealt.secretShares[id].signingShare) };
}

// One session: `ours` and `noble` are the ids of each side's signers.
async function signTogether(peer, group, tweak, ours, noble, message) {
  const forThem = packages(tweak ? tweaked(group) : group);
  const hexOf = (of, ids) => Object.fromEntries(ids.map((id) => [id, toHex(of[id])]));
  const { output_key: outputKey } = await peer.ask('group', {
    n: group.n, t: group.t, key: toHex(group.key), tweaked: tweak,
    public: hexOf(group.public, Object.keys(group.public)), secret: hexOf(group.secret, ours),
  });
  assert.equal(outputKey, toHex(forThem.public.commitments[0].slice(1)), 'the keys differ');

  const nonces = {}, secretNonces = {};
  for (const id of ours) nonces[id] = (await peer.ask('nonce', { signer: id })).nonce;
  for (const id of noble) {
    const made = theirs.commit(forThem.secret(id));
    secretNonces[id] = made.nonces;
    nonces[id] = toHex(made.commitments.hiding) + toHex(made.commitments.binding);
  }
  const commitments = Object.entries(nonces).map(([id, hex]) => ({
    identifier: identifier(id), hiding: fromHex(hex.slice(0, 66)), binding: fromHex(hex.slice(66)),
  }));

  const shares = {};
  const session = { message: toHex(message), nonces };
  for (const id of ours) shares[id] = (await peer.ask('share', { ...session, signer: id })).share;
  for (const id of noble) {
    shares[id] = toHex(theirs.signShare(forThem.secret(id), forThem.public, secretNonces[id],
                                        commitments, message));
  }
  for (const id of [...ours, ...noble]) {
    const { good } = await peer.ask('verify', { ...session, signer: id, share: shares[id] });
    assert.ok(good, `we refuse the share of ${id}`);
    assert.ok(theirs.verifyShare(forThem.public, commitments, message, identifier(id),
                                 fromHex(shares[id])), `they refuse the share of ${id}`);
  }
  // A share that is no good convicts its signer on both sides.
  const bad = { ...shares, [noble[0]]: toHex(Fn.toBytes(Fn.add(Fn.fromBytes(
    fromHex(shares[noble[0]])), Fn.ONE))) };
  assert.deepEqual(await peer.ask('aggregate', { ...session, shares: bad }),
                   { blamed: [noble[0]] });
  assert.ok(!theirs.verifyShare(forThem.public, commitments, message, identifier(noble[0]),
                                fromHex(bad[noble[0]])));

  const { signature } = await peer.ask('aggregate', { ...session, shares });
  const byId = Object.fromEntries(Object.entries(shares).map(([id, s]) => [identifier(id),
                                                                          fromHex(s)]));
  assert.equal(toHex(theirs.aggregate(forThem.public, commitments, message, byId)), signature);
  assert.ok(ecc.verifySchnorr(message, fromHex(outputKey), fromHex(signature)),
            'the signature does not verify');
  return isOdd(forThem.public.commitments[0]);
}

for (const [t, n] of [[2, 3], [3, 5]]) {
  for (const tweak of [false, true]) {
    const key = tweak ? 'tweaked' : 'untweaked';
    test(`noble and we sign together, ${t}-of-${n}, ${key}`, async () => {
      const peer = new OurPeer(process.env.FROST_TR_PEER);
      try {
        const parities = { key: new Set(), used: new Set() };
        let sessions = 0;
        for (let seed = 1; seed <= 8; ++seed) {
          for (const group of [await dealtByUs(peer, n, t, seed), dealtByThem(n, t)]) {
            parities.key.add(isOdd(group.key));
            const ids = [...Array(n).keys()].map(String);
            const chosen = ids.slice(seed % (n - t + 1)).slice(0, t);
            for (let ours = 1; ours < t; ++ours) {
              const message = sha256(`message ${seed} ${ours}`);
              parities.used.add(await signTogether(peer, group, tweak, chosen.slice(0, ours),
                                                   chosen.slice(ours), message));
              ++sessions;
            }
          }
        }
        assert.equal(sessions, 16 * (t - 1));
        // Both parities were there, or the rules for odd keys were not asked.
        assert.equal(parities.key.size, 2);
        assert.equal(parities.used.size, 2);
      } finally {
        peer.end();
      }
    });
  }
}
