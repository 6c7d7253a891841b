// See operator_key.h.
#include "chaos/evidence/operator_key.h"

#include <cstdlib>
#include <memory>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "common/base/freed_by.h"
#include "common/runtime/durable_file.h"

namespace roulette::evidence {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxKeyFile = 4096;

using Key = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using Bio = std::unique_ptr<BIO, FreedBy<BIO_free_all>>;

Bio reader(std::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size <= 0 ? std::string() : std::string(data, static_cast<std::size_t>(size));
}

Result<std::string> key_file(const fs::path& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0)
    return Error{ErrorKind::Preflight, "no operator key at " + path.string() +
                                           "; `roulette key new` makes one"};
  if ((facts.st_mode & 077U) != 0)
    return Error{ErrorKind::Usage,
                 path.string() + ": others may read or write this key; chmod 600"};
  const Result<Bytes> content = runtime::read_whole_file(path, kMaxKeyFile);
  if (!content) return content.error();
  return std::string(content->begin(), content->end());
}

}  // namespace

Result<fs::path> default_key_path() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  fs::path base;
  if (config != nullptr && *config == '/') base = config;
  else if (home != nullptr && *home == '/') base = fs::path(home) / ".config";
  else
    return Error{ErrorKind::Preflight,
                 "neither HOME nor XDG_CONFIG_HOME is set: name the key's file with --key"};
  return base / "quorum-roulette" / "operator.pem";
}

Result<OperatorKey> make_operator_key(const fs::path& path, EntropySource& entropy) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(path, error)))
    return Error{ErrorKind::Usage, path.string() + " exists; a key is never written over"};
  Secret<32> seed;
  entropy.fill({seed.data(), seed.size()});
  Result<OperatorKey> key = OperatorKey::from_seed(std::move(seed));
  if (!key) return key;
  const Result<std::string> pem = crypto::private_key_pem(*key);
  if (!pem) return pem.error();
  if (const Status made = runtime::create_folder_durably(path.parent_path()); !made)
    return made.error();
  const Status written = runtime::write_file_durably(path, as_bytes(*pem), 0600);
  if (!written) return written.error();
  return key;
}

Result<OperatorKey> read_operator_key(const fs::path& path) {
  const Result<std::string> pem = key_file(path);
  if (!pem) return pem.error();
  Result<OperatorKey> key = crypto::private_key_from_pem(*pem);
  if (!key) return Error{ErrorKind::Usage, path.string() + ": " + key.error().message};
  return key;
}

Result<std::string> public_key_pem(const PublicKey& key) {
  const Key raw(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.data(), key.size()));
  const Bio out(BIO_new(BIO_s_mem()));
  if (!raw || !out || PEM_write_bio_PUBKEY(out.get(), raw.get()) != 1)
    return Error{ErrorKind::Internal, "OpenSSL cannot write an Ed25519 public key"};
  return text_of(out.get());
}

Result<PublicKey> public_key_from_pem(std::string_view pem) {
  const Bio in = reader(pem);
  const Key key(in ? PEM_read_bio_PUBKEY(in.get(), nullptr, nullptr, nullptr) : nullptr);
  PublicKey out{};
  std::size_t size = out.size();
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_public_key(key.get(), out.data(), &size) != 1 || size != out.size())
    return Error{ErrorKind::Corrupt, "no Ed25519 public key in PEM"};
  return out;
}

Result<std::string> trusted_fingerprint(const std::string& trust) {
  constexpr std::string_view kPrefix = "SHA256:";
  if (trust.starts_with(kPrefix)) {
    const auto digest = array_from_hex<32>(std::string_view(trust).substr(kPrefix.size()));
    if (digest) return std::string(kPrefix) + to_hex(*digest);
    return Error{ErrorKind::Usage, "--trust " + trust + ": no fingerprint (SHA256: and 64 digits)"};
  }
  const Result<Bytes> content = runtime::read_whole_file(trust, kMaxKeyFile);
  if (!content)
    return Error{ErrorKind::Usage, "--trust " + trust + ": neither a fingerprint nor a key file"};
  const std::string pem(content->begin(), content->end());
  if (const auto key = public_key_from_pem(pem); key.ok()) return fingerprint(*key);
  const Result<OperatorKey> own = read_operator_key(trust);
  if (!own) return Error{ErrorKind::Usage, "--trust " + trust + ": no Ed25519 key in PEM"};
  return fingerprint(own->public_key());
}

}  // namespace roulette::evidence
