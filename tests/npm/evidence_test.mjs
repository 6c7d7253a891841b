// A bundle's envelope by the Sigstore project's own verifier, and what it states.
//
// Invariant: the signature is verified by code that is not ours (DSSE's encoding and Ed25519 of
// @sigstore/verify) and is seen to fail for every part that it covers; the statement has the fields
// of in-toto's Statement v1 and test-result v0.1, and its digests are those of the bundle's files.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { bundleFromJSON } from '@sigstore/bundle';
import { Verifier, toSignedEntity } from '@sigstore/verify';

const folder = mkdtempSync(join(tmpdir(), 'evidence-'));
after(() => rmSync(folder, { recursive: true }));
const trusted = execFileSync(process.env.SMALL_BUNDLE, [folder], { timeout: 60_000 });
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

// POSIX ustar: a header of 512 bytes (name at 0, size in octal at 124), then the padded content.
function filesOf(name) {
  const archive = readFileSync(join(folder, name));
  const files = new Map();
  for (let at = 0; archive[at] !== 0;) {
    const path = archive.subarray(at, at + 100).toString().replace(/\0.*$/, '');
    const size = parseInt(archive.subarray(at + 124, at + 135).toString(), 8);
    files.set(path.slice(path.indexOf('/') + 1), archive.subarray(at + 512, at + 512 + size));
    files.set('', path.slice(0, path.indexOf('/')));  // the run's name
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

// The operator's key is the one that the verifier knows by the envelope's own key id.
function verify(envelope, files) {
  const key = createPublicKey(files.get('operator.pub.pem').toString());
  const known = `SHA256:${sha256(key.export({ format: 'der', type: 'spki' }).subarray(-32))}`;
  const material = {
    certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [],
    publicKey(hint) {
      assert.equal(hint, known);
      return { publicKey: key, validFor: () => true };
    },
  };
  const bundle = bundleFromJSON({
    mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.1',
    verificationMaterial: {
      publicKey: { hint: envelope.signatures[0].keyid }, tlogEntries: [],
    },
    dsseEnvelope: envelope,
  });
  const none = { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 0 };
  return new Verifier(material, none).verify(toSignedEntity(bundle));
}

const flipped = (base64) => {
  const bytes = Buffer.from(base64, 'base64');
  bytes[bytes.length >> 1] ^= 1;
  return bytes.toString('base64');
};

for (const name of ['pass.tar', 'fail.tar']) {
  const files = filesOf(name);
  const envelope = JSON.parse(files.get('statement.dsse.json'));

  test(`${name}: Sigstore's verifier accepts the envelope`, () => {
    assert.deepEqual(Object.keys(envelope).sort(), ['payload', 'payloadType', 'signatures']);
    assert.equal(envelope.payloadType, 'application/vnd.in-toto+json');
    assert.equal(envelope.signatures.length, 1);
    assert.equal(envelope.signatures[0].keyid, trusted.toString().trim());
    verify(envelope, files);
  });

  test(`${name}: and refuses it with another payload, type or signature`, () => {
    const signature = envelope.signatures[0];
    const failed = { code: 'SIGNATURE_ERROR' };
    assert.throws(() => verify({ ...envelope, payload: flipped(envelope.payload) }, files), failed);
    assert.throws(() => verify({ ...envelope, payloadType: 'text/plain' }, files), failed);
    const other = [{ ...signature, sig: flipped(signature.sig) }];
    assert.throws(() => verify({ ...envelope, signatures: other }, files), failed);
  });

  test(`${name}: the statement is in-toto's, of these files`, () => {
    const statement = JSON.parse(Buffer.from(envelope.payload, 'base64'));
    assert.deepEqual(Object.keys(statement).sort(),
      ['_type', 'predicate', 'predicateType', 'subject']);
    assert.equal(statement._type, 'https://in-toto.io/Statement/v1');
    assert.equal(statement.predicateType, 'https://in-toto.io/attestation/test-result/v0.1');
    const { predicate } = statement;
    const described = (file) => ({
      name: `${files.get('')}/${file}`, digest: { sha256: sha256(files.get(file)) },
    });
    assert.deepEqual(statement.subject, [described('manifest.json')]);
    assert.deepEqual(predicate.configuration, [described('experiment.yaml')]);
    assert.equal(predicate.result, name === 'pass.tar' ? 'PASSED' : 'FAILED');
    const tests = [...predicate.passedTests, ...predicate.warnedTests, ...predicate.failedTests];
    const { invariants } = JSON.parse(files.get('verdict.json'));
    assert.deepEqual(tests.sort(), invariants.map(({ id }) => id).sort());
    assert.equal(predicate.failedTests.length > 0, name === 'fail.tar');
    for (const file of JSON.parse(files.get('manifest.json')).files)
      assert.equal(file.sha256, sha256(files.get(file.name)), file.name);
  });
}
