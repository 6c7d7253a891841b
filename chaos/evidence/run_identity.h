// The cluster's own signature over its records: identity.dsse.json.
//
// Invariant: it verifies under the key that the run's coins were spent with, which the chain
// knows, and over nothing but the journal (which has the SHA-256 of every record) and the verdict.
// It says that these records are of the cluster that made those payments, when its shares were
// still only there; it does not say who ran it. The key's signatures over transactions are of other
// tagged hashes.
#pragma once

#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace roulette::evidence {

// BIP 340 tag of the message that is signed: no transaction's hash has it.
inline constexpr std::string_view kRunIdentityTag = "quorum-roulette/run-identity";
// A predicate of this project: docs/EVIDENCE.md.
inline constexpr char kIdentityPredicate[] = "urn:quorum-roulette:run-identity:v1";
inline constexpr char kIdentityFile[] = "identity.dsse.json";

// The in-toto statement: subjects journal.json and verdict.json.
[[nodiscard]] std::string identity_statement(std::string_view journal, std::string_view verdict);
// What is hashed under kRunIdentityTag and signed.
[[nodiscard]] std::string identity_message(const std::string& statement);
// identity.dsse.json. `wallet_key`: 32 bytes, x-only.
[[nodiscard]] std::string identity_envelope(const std::string& statement, ByteSpan wallet_key,
                                            const Bytes& signature);
// Corrupt, with what is wrong, unless `envelope` is that of these texts under this key.
[[nodiscard]] Status check_identity(std::string_view envelope, std::string_view journal,
                                    std::string_view verdict, ByteSpan wallet_key);

}  // namespace roulette::evidence
