// Reading a sign request and checking it against the policy: see request_check.h.
//
// Invariant: no check here depends on what was signed before, and none touches a secret.
#include "signer/core/request_check.h"

#include <algorithm>
#include <string>

#include "common/base/limits.h"
#include "common/base/mutants.h"
#include "common/bitcoin/fees.h"
#include "common/bitcoin/script.h"
#include "common/bitcoin/spend.h"

namespace roulette::signer {
namespace {

using wire::RefusalReason;

// One payment and one change output: all that a withdrawal's template ever has.
constexpr std::size_t kMostOutputs = 2;

Denied bad_request(std::string detail) {
  return denied(RefusalReason::BadRequest, std::move(detail));
}

std::string sat(std::int64_t amount) {
  return std::to_string(amount) + " sat";
}

std::optional<Denied> check_sizes(const wire::SignRequest& request, const ReadContext& context) {
  if (request.unsigned_tx.size() > limits::kMaxUnsignedTxBytes)
    return bad_request("the transaction is longer than any template");
  const std::size_t inputs = request.prevouts.size();
  if (inputs == 0 || inputs > limits::kMaxInputsPerTransaction)
    return bad_request(std::to_string(inputs) + " prevouts");
  if (request.signers.size() < context.t || request.signers.size() > context.n)
    return bad_request(std::to_string(request.signers.size()) + " signers");
  const std::size_t nonces = context.scheme.nonces_for(inputs);
  for (const wire::SessionSigner& signer : request.signers)
    if (signer.nonces.size() != nonces) return bad_request("not one nonce per input and signer");
  return std::nullopt;
}

// Attack: nonces of other sizes, so that two sessions have one digest, or that an honest signer
// takes the blame for refusing them.
std::optional<Denied> check_nonce_sizes(const wire::SignRequest& request,
                                        const ReadContext& context) {
  for (const wire::SessionSigner& signer : request.signers) {
    for (const wire::PubNonce& nonce : signer.nonces) {
      if (nonce.size() == context.scheme.nonce_size) continue;
      Denied no = denied(RefusalReason::BadNonce,
                         "a public nonce of " + std::to_string(nonce.size()) + " bytes");
      no.blamed = signer.id;
      return no;
    }
  }
  return std::nullopt;
}

// BIP 445: ids unique and below n, the own id in the set. Ascending, so that one set has one
// digest.
std::optional<Denied> read_signers(const wire::SignRequest& request, const ReadContext& context,
                                   ReadRequest& read) {
  bool self_listed = false;
  for (std::size_t i = 0; i < request.signers.size(); ++i) {
    const SignerId id = request.signers[i].id;
    if (id.value() >= context.n) return bad_request("a signer outside the group");
    if (i > 0 && id <= request.signers[i - 1].id) return bad_request("signer ids do not ascend");
    if (id == context.self) {
      self_listed = true;
      read.own = i;
    }
    read.signer_ids.push_back(id);
  }
  if (!self_listed) return bad_request("this signer is not among the signers");
  return std::nullopt;
}

std::optional<Denied> read_transaction(const wire::SignRequest& request,
                                       crypto::SignatureForm form, ReadRequest& read) {
  auto parsed = bitcoin::parse_transaction(request.unsigned_tx);
  if (!parsed) return bad_request(parsed.error().message);
  read.tx = std::move(parsed).value();
  // A witness is not part of the txid: with it one binding would stand for many byte strings. It
  // could also carry an annex, which SIGHASH_DEFAULT would have to commit to (BIP 341).
  if (read.tx.has_witness()) return bad_request("the transaction carries a witness");
  // Attack: a payment that no block may hold for years binds its request, and matures when the
  // client was paid otherwise (BIP 68 and locktimes).
  if (read.tx.version != 2 || read.tx.locktime != 0)
    return bad_request("another version or locktime than a template's");
  for (const bitcoin::TxIn& input : read.tx.inputs) {
    if (!input.script_sig.empty()) return bad_request("an input carries a script");
    if (input.sequence < bitcoin::kSequenceNoReplacement)
      return bad_request("an input that may be replaced or waits for its coin's age");
  }
  if (read.tx.inputs.size() != request.prevouts.size())
    return bad_request("not one prevout per input");
  // Attack on P2WPKH: an input's message covers its own amount only (BIP 143), so two requests that
  // lie about one coin each would make a transaction of unseen fee. The journal binds every amount
  // with its outpoint, and the session digest covers all messages.
  auto sighashes = bitcoin::sighashes(form, read.tx, request.prevouts);
  if (!sighashes) return bad_request(sighashes.error().message);
  read.sighashes = std::move(sighashes).value();
  read.txid = bitcoin::txid(read.tx);
  return std::nullopt;
}

std::optional<Denied> check_outputs(const bitcoin::Transaction& tx, const Policy& policy) {
  std::size_t payments = 0;
  if (tx.outputs.size() > kMostOutputs)
    return denied(RefusalReason::PolicyChange, "more outputs than a payment and its change");
  for (const bitcoin::TxOut& output : tx.outputs) {
    // The network relays no dust: signing it would bind the coins to a transaction nobody mines.
    if (output.amount_sat < std::max<std::int64_t>(1, bitcoin::dust_limit_sat(output.script)))
      return denied(RefusalReason::PolicyAmount, "an output of " + sat(output.amount_sat));
    if (output.script == policy.wallet_script) continue;
    payments += ROULETTE_MUTANT("change-unchecked") ? 0 : 1;
    // Attack: "change" that goes to the attacker: the second foreign output is refused.
    if (payments > 1)
      return denied(RefusalReason::PolicyChange, "change does not return to the wallet");
    if (output.amount_sat > policy.max_amount_sat)
      return denied(RefusalReason::PolicyAmount, "a payment of " + sat(output.amount_sat));
  }
  return std::nullopt;
}

std::optional<Denied> check_fee(const bitcoin::Transaction& tx,
                                const std::vector<bitcoin::TxOut>& prevouts, const Policy& policy,
                                crypto::SignatureForm form) {
  const auto in = bitcoin::total_amount(prevouts);
  const auto out = bitcoin::total_amount(tx.outputs);
  if (!in || !out || *out > *in)
    return denied(RefusalReason::PolicyAmount, "the outputs exceed the inputs");
  const std::int64_t fee = *in - *out;
  if (ROULETTE_MUTANT("fee-unchecked")) return std::nullopt;
  if (fee > policy.max_fee_sat) return denied(RefusalReason::PolicyFee, "a fee of " + sat(fee));
  const std::int64_t vsize = bitcoin::signed_vsize(form, tx.inputs.size(), tx.outputs);
  const auto most = bitcoin::fee_sat(bitcoin::sat_per_vbyte(policy.max_fee_rate_sat_per_vb), vsize);
  if (!most || fee > *most)
    return denied(RefusalReason::PolicyFee,
                  "a fee of " + sat(fee) + " for " + std::to_string(vsize) + " vbytes");
  return std::nullopt;
}

}  // namespace

std::variant<ReadRequest, Denied> read_request(const wire::SignRequest& request,
                                               const ReadContext& context) {
  ReadRequest read;
  if (auto no = check_sizes(request, context)) return *std::move(no);
  if (auto no = read_signers(request, context, read)) return *std::move(no);
  if (auto no = check_nonce_sizes(request, context)) return *std::move(no);
  if (auto no = read_transaction(request, context.scheme.signatures, read)) return *std::move(no);
  read.session_digest = wire::session_digest(request, context.scheme.version, context.output_key,
                                             read.sighashes);
  return read;
}

std::optional<Denied> check_policy(const bitcoin::Transaction& tx,
                                   const std::vector<bitcoin::TxOut>& prevouts,
                                   const Policy& policy, crypto::SignatureForm form) {
  for (const bitcoin::TxOut& prevout : prevouts)
    if (prevout.script != policy.wallet_script && !ROULETTE_MUTANT("prevout-trusted"))
      return denied(RefusalReason::PrevoutMismatch, "a prevout is not the wallet's");
  if (auto no = check_outputs(tx, policy)) return no;
  return check_fee(tx, prevouts, policy, form);
}

// Attack: a coordinator in wrong hands asks for a payment of its own, twice for one request under
// two ids, or more than the client wanted. Payee and amount are read from the transaction, so what
// the client signed is what leaves the wallet.
std::optional<Denied> check_client(const wire::SignRequest& request,
                                   const bitcoin::Transaction& tx, const Bytes& wallet_script,
                                   const wire::ClientList& clients) {
  if (!request.client) return denied(RefusalReason::Unrequested, "no client signed this request");
  const wire::ClientRequest& asked = *request.client;
  if (request.withdrawal_id != wire::withdrawal_id_of(asked.key))
    return denied(RefusalReason::Unrequested, "the withdrawal is of another key");
  const auto payment =
      std::find_if(tx.outputs.begin(), tx.outputs.end(), [&](const bitcoin::TxOut& output) {
        return output.script != wallet_script;
      });
  if (payment == tx.outputs.end())
    return denied(RefusalReason::Unrequested, "the transaction pays nobody");
  if (request.payload_digest !=
      wire::payload_digest(asked.account, payment->script, payment->amount_sat))
    return denied(RefusalReason::Unrequested, "the payload is not what the transaction pays");
  const auto no = clients.check({asked.key, asked.account, payment->script, payment->amount_sat},
                                asked.by);
  if (no) return denied(RefusalReason::Unrequested, no->detail);
  return std::nullopt;
}

}  // namespace roulette::signer
