// Opening the sealed share: see key_material.h.
//
// Invariant: a key file that others may read is refused, as is one of another length.
#include "signer/app/key_material.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

#include "common/crypto/hsm_scheme.h"
#include "common/crypto/schemes.h"
#include "common/crypto/sealed_share.h"
#include "common/runtime/clients_file.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/group_file.h"
#include "common/runtime/process.h"

namespace roulette::signer {
namespace {

constexpr std::size_t kMaxPassphraseBytes = 1024;

Error preflight(const std::filesystem::path& file, const std::string& what) {
  return Error{ErrorKind::Preflight, file.string() + ": " + what};
}

// Reads until `limit` bytes or the end; -1 with errno on failure.
ssize_t read_up_to(int fd, std::uint8_t* out, std::size_t limit) {
  std::size_t have = 0;
  while (have < limit) {
    const ssize_t n = ::read(fd, out + have, limit - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  return static_cast<ssize_t>(have);
}

Result<Secret<32>> read_key_file(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return preflight(file, std::string("the share's key file: ") + ::strerror(errno));
  struct stat facts {};
  Secret<33> read;  // one more than wanted shows a longer file
  const bool known = ::fstat(fd, &facts) == 0;
  const ssize_t n = read_up_to(fd, read.data(), read.size());
  ::close(fd);
  if (!known || n < 0) return preflight(file, "the share's key file cannot be read");
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return preflight(file, "the share's key file is open to others; set its mode to 0600");
  if (n != 32) return preflight(file, "the share's key file does not hold 32 bytes");
  return Secret<32>(read.span().first<32>());
}

Result<Secret<32>> unseal_with_passphrase(const Bytes& sealed, const crypto::ShareLabel& label,
                                          const Settings& settings,
                                          std::optional<int> passphrase_fd) {
  if (!passphrase_fd)
    return preflight(settings.share, "the share wants a passphrase: give --passphrase-fd");
  Secret<kMaxPassphraseBytes + 1> passphrase;
  const ssize_t n = read_up_to(*passphrase_fd, passphrase.data(), passphrase.size());
  ::close(*passphrase_fd);
  if (n < 0 || n > static_cast<ssize_t>(kMaxPassphraseBytes))
    return preflight(settings.share, "no passphrase of at most 1024 bytes could be read");
  auto length = static_cast<std::size_t>(n);
  if (length > 0 && passphrase.data()[length - 1] == '\n') length -= 1;
  return crypto::unseal_with_passphrase(sealed, label, passphrase.span().first(length));
}

Result<Secret<32>> open_share(const Settings& settings, const crypto::ShareLabel& label,
                              std::optional<int> passphrase_fd) {
  if (settings.share.empty())
    return Error{ErrorKind::Usage, "share is missing: this scheme has one"};
  const auto sealed = runtime::read_whole_file(settings.share, crypto::kSealedShareSize + 1);
  if (!sealed) return preflight(settings.share, "the sealed share: " + sealed.error().message);
  const auto protection = crypto::sealed_protection(*sealed);
  if (!protection) return protection.error().with_context(settings.share.string());
  if (*protection == crypto::ShareProtection::Passphrase) {
    auto share = unseal_with_passphrase(*sealed, label, settings, passphrase_fd);
    if (!share) return share.error().with_context(settings.share.string());
    return share;
  }
  if (*protection == crypto::ShareProtection::Token) {
    if (!settings.token)
      return Error{ErrorKind::Usage, "the share is sealed in a token: token is missing"};
    const auto token = Token::open(*settings.token);
    if (!token) return token.error();
    auto share = crypto::unseal_with_vault(*sealed, label, **token);
    if (!share) return share.error().with_context(settings.share.string());
    return share;
  }
  if (settings.share_key.empty())
    return Error{ErrorKind::Usage, "the share is sealed with a key file: share_key is missing"};
  const auto key = read_key_file(settings.share_key);
  if (!key) return key.error();
  auto share = crypto::unseal_with_key_file(*sealed, label, *key);
  if (!share) return share.error().with_context(settings.share.string());
  return share;
}

// A token that signed so short a while ago need not be tried.
constexpr auto kTokenRest = std::chrono::milliseconds(200);

// What the machine signs with where the key lies in a token. One thread uses it. A token that
// failed is away until a trial succeeds: each request that tried instead would cost a record.
class TokenSigns {
 public:
  explicit TokenSigns(std::unique_ptr<Token> token) : token_(std::move(token)) {}

  Result<crypto::CompactEcdsa> sign(const Hash32& digest) {
    auto made = token_->sign(digest);
    if (made) {
      if (!failure_.empty()) std::fprintf(stderr, "the token signs again\n");
      failure_.clear();
      signed_at_ = std::chrono::steady_clock::now();
      return made;
    }
    // Nothing can be asked of a module that hangs, and a signer without its key is none: it ends,
    // as safe as by SIGKILL, and its supervisor's next start says what it finds.
    if (token_->hangs()) {
      std::fprintf(stderr, "%s; the signer ends\n", made.error().message.c_str());
      ::_exit(exit_code(ErrorKind::Preflight));
    }
    if (failure_.empty()) std::fprintf(stderr, "%s\n", made.error().message.c_str());
    failure_ = made.error().message;
    return Error{ErrorKind::Refused, made.error().message};
  }
  std::string unavailable() const { return failure_; }
  // As at the start: random bytes are signed, which are no transaction's.
  std::string probe() {
    if (failure_.empty() && std::chrono::steady_clock::now() - signed_at_ < kTokenRest)
      return failure_;
    runtime::KernelEntropy entropy;
    Hash32 digest{};
    entropy.fill(digest);
    (void)sign(digest);
    return failure_;
  }

 private:
  std::unique_ptr<Token> token_;
  std::string failure_;  // of the last attempt
  std::chrono::steady_clock::time_point signed_at_;
};

Error other_key(const TokenPlace& place, const crypto::PubKey33& is, ByteSpan wants) {
  return Error{ErrorKind::Refused, "token '" + place.label + "': its signing key is " + to_hex(is) +
                                       ", the group's is " + to_hex(wants) +
                                       ": another signer's token, or another group"};
}

Result<crypto::KeySharePtr> token_share(const Settings& settings, const crypto::SigningGroup& group,
                                        EntropySource& entropy, KeyProbe& probe) {
  if (!settings.token)
    return Error{ErrorKind::Usage, "the key of hsm lies in a token: token is missing"};
  if (!settings.share.empty())
    return Error{ErrorKind::Usage, "the key of hsm lies in a token: there is no share"};
  auto token = Token::open(*settings.token);
  if (!token) return token.error();
  const auto key = (*token)->signing_key(entropy);
  if (!key) return key.error();
  if (*key != group.threshold_key())
    return other_key(*settings.token, *key, group.threshold_key());
  const auto signs = std::make_shared<TokenSigns>(std::move(*token));
  probe = [signs] { return signs->probe(); };
  return crypto::hsm_share({*key, [signs](const Hash32& digest) { return signs->sign(digest); },
                            [signs] { return signs->unavailable(); }});
}

Result<crypto::KeySharePtr> sealed_share(const Settings& settings,
                                         const crypto::SigningGroup& group, SignerId id,
                                         std::optional<int> passphrase_fd) {
  auto secret = open_share(settings, {id, group.id(), settings.share_epoch}, passphrase_fd);
  if (!secret) return secret.error();
  const auto* kind = crypto::scheme_by_name(group.scheme().facts().name);
  auto share = kind->share(id, std::move(secret).value());
  if (!share) return share.error().with_context(settings.share.string());
  return share;
}

}  // namespace

Result<crypto::PubKey33> make_token_key(const Settings& settings,
                                        const std::filesystem::path& so_pin_file,
                                        EntropySource& entropy) {
  if (!settings.token) return Error{ErrorKind::Usage, "token is missing from the configuration"};
  if (std::error_code unused; std::filesystem::exists(settings.group, unused)) {
    const auto group = runtime::read_group_file(settings.group);
    if (!group) return group.error();
    if (!crypto::scheme_by_name((*group)->scheme().facts().name)->in_token)
      return Error{ErrorKind::Usage, settings.group.string() + ": no scheme with a key in a token"};
    const auto token = Token::open(*settings.token);
    if (!token) return token.error();
    const auto key = (*token)->signing_key(entropy);
    if (!key) return key.error();
    if (*key != (*group)->threshold_key())
      return other_key(*settings.token, *key, (*group)->threshold_key());
    return key;
  }
  if (!so_pin_file.empty())
    if (const Status made = Token::initialize(*settings.token, so_pin_file); !made)
      return made.error();
  const auto token = Token::open(*settings.token);
  if (!token) return token.error();
  return (*token)->ensure_signing_key(entropy);
}

Status seal_into_token(const Settings& settings, std::optional<int> passphrase_fd,
                       const std::filesystem::path& so_pin_file, EntropySource& entropy) {
  if (!settings.token) return Error{ErrorKind::Usage, "token is missing from the configuration"};
  auto group = runtime::read_group_file(settings.group);
  if (!group) return group.error();
  const crypto::ShareLabel label{SignerId(settings.name.index), (*group)->id(),
                                 settings.share_epoch};
  // What opens now is what a signer would serve with; a share that the token holds already opens by
  // it, and nothing is left to do.
  const auto secret = open_share(settings, label, passphrase_fd);
  if (!secret) return secret.error();
  const auto now = runtime::read_whole_file(settings.share, crypto::kSealedShareSize + 1);
  if (!now) return now.error();
  const auto protection = crypto::sealed_protection(*now);
  if (protection && *protection == crypto::ShareProtection::Token) return {};
  if (!so_pin_file.empty())
    if (const Status made = Token::initialize(*settings.token, so_pin_file); !made) return made;
  const auto token = Token::open(*settings.token);
  if (!token) return token.error();
  if (const Status made = (*token)->ensure_key(); !made) return made;
  const auto sealed = crypto::seal_with_vault(*secret, label, **token, entropy);
  if (!sealed) return sealed.error();
  // The old file goes only for one that was seen to open to the same share.
  const auto again = crypto::unseal_with_vault(*sealed, label, **token);
  if (!again) return again.error().with_context("the share that was just sealed");
  const auto before = crypto::public_key(*secret), after = crypto::public_key(*again);
  if (!before || !after || *before != *after)
    return Error{ErrorKind::Internal, "the token gives back another share than it got"};
  return runtime::write_file_durably(settings.share, *sealed);
}

Result<SignerConfig> load_config(const Settings& settings, std::optional<int> passphrase_fd,
                                 EntropySource& entropy, KeyProbe& probe) {
  auto group = runtime::read_group_file(settings.group);
  if (!group) return group.error();
  const crypto::SigningGroupPtr signing = std::move(group).value();
  auto clients = runtime::configured_clients(settings.clients, settings.cluster_id);
  if (!clients) return clients.error();
  const SignerId id(settings.name.index);
  const auto* kind = crypto::scheme_by_name(signing->scheme().facts().name);
  auto share = kind->in_token ? token_share(settings, *signing, entropy, probe)
                              : sealed_share(settings, *signing, id, passphrase_fd);
  if (!share) return share.error();
  return SignerConfig{id,
                      settings.cluster_id,
                      settings.share_epoch,
                      signing,
                      std::move(share).value(),
                      Policy{runtime::wallet_script_of(*signing), settings.max_fee_sat,
                             settings.max_fee_rate_sat_per_vb, settings.max_amount_sat},
                      settings.verify_own_share,
                      std::move(clients).value()};
}

}  // namespace roulette::signer
