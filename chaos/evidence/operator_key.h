// The operator's key on disk, and whom an auditor trusts.
//
// Invariant: a key file is made once, readable by its owner only, and never written over. Formats
// are OpenSSL's (PKCS #8 and SubjectPublicKeyInfo in PEM), so that other tools read them.
#pragma once

#include <filesystem>
#include <string>

#include "chaos/evidence/dsse.h"

namespace roulette::evidence {

// $XDG_CONFIG_HOME/quorum-roulette/operator.pem, or under ~/.config. Preflight without either.
[[nodiscard]] Result<std::filesystem::path> default_key_path();

// Usage when something stands there already.
[[nodiscard]] Result<OperatorKey> make_operator_key(const std::filesystem::path& path,
                                                    EntropySource& entropy);
// Preflight where there is none, naming the command that makes one; Usage for a file that others
// may read, or that is no Ed25519 key.
[[nodiscard]] Result<OperatorKey> read_operator_key(const std::filesystem::path& path);

[[nodiscard]] Result<std::string> public_key_pem(const PublicKey& key);
[[nodiscard]] Result<PublicKey> public_key_from_pem(std::string_view pem);

// A fingerprint, or the path of a public or private key in PEM, as the fingerprint. Usage.
[[nodiscard]] Result<std::string> trusted_fingerprint(const std::string& trust);

}  // namespace roulette::evidence
