// See run_identity.h.
#include "chaos/evidence/run_identity.h"

#include <nlohmann/json.hpp>

#include "chaos/evidence/dsse.h"
#include "common/crypto/hash.h"
#include "common/crypto/scheme.h"

namespace roulette::evidence {
namespace {

using nlohmann::json;

json subject(const char* name, std::string_view text) {
  return {{"name", name}, {"digest", {{"sha256", to_hex(crypto::sha256(as_bytes(text)))}}}};
}

std::string key_id(ByteSpan wallet_key) {
  return "BIP340:" + to_hex(wallet_key);
}

}  // namespace

std::string identity_statement(std::string_view journal, std::string_view verdict) {
  return json{{"_type", "https://in-toto.io/Statement/v1"},
              {"subject", json::array({subject("journal.json", journal),
                                       subject("verdict.json", verdict)})},
              {"predicateType", kIdentityPredicate},
              {"predicate", {{"claim", "these records are of the cluster that holds this key"}}}}
             .dump(2) +
         "\n";
}

std::string identity_message(const std::string& statement) {
  return pre_authentication(kStatementType, statement);
}

std::string identity_envelope(const std::string& statement, ByteSpan wallet_key,
                              const Bytes& signature) {
  return seal({statement, {{key_id(wallet_key), signature}}});
}

Status check_identity(std::string_view envelope, std::string_view journal,
                      std::string_view verdict, ByteSpan wallet_key) {
  const Result<Envelope> opened = open_envelope(envelope);
  if (!opened) return opened.error();
  const Error wrong{ErrorKind::Corrupt,
                    "not the signature of the key that the run's coins were spent with"};
  if (opened->payload != identity_statement(journal, verdict))
    return Error{ErrorKind::Corrupt, "it was made for another journal.json or verdict.json"};
  if (opened->signatures.size() != 1 || opened->signatures.front().key_id != key_id(wallet_key))
    return wrong;
  const Hash32 message =
      crypto::tagged_hash(kRunIdentityTag, as_bytes(identity_message(opened->payload)));
  const crypto::Scheme& scheme = crypto::scheme_of(crypto::SignatureForm::Bip340);
  if (!scheme.verify(wallet_key, message, opened->signatures.front().signature)) return wrong;
  return {};
}

}  // namespace roulette::evidence
