// Certificates with OpenSSL's X.509 calls.
//
// Invariant: leaf certificates cannot sign others (CA:FALSE, path length 0 at the authority) and
// carry exactly one SAN, the process URI. Key PEM text is wiped where this file held it.
#include "common/runtime/certificates.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "common/base/freed_by.h"
#include "common/runtime/durable_file.h"

namespace roulette::runtime {
namespace {

using Key = std::unique_ptr<EVP_PKEY, FreedBy<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, FreedBy<X509_free>>;
using Bio = std::unique_ptr<BIO, FreedBy<BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, FreedBy<X509_EXTENSION_free>>;

Error openssl_error(const std::string& what) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return Error{ErrorKind::Internal, what + ": " + text.data()};
}

std::string drain(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  explicit_bzero(data, static_cast<std::size_t>(size));
  return text;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_random_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);  // positive, full length
  const std::unique_ptr<BIGNUM, FreedBy<BN_free>> number(
      BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

// Everything but extensions and signature.
Certificate make_certificate(EVP_PKEY* key, const std::string& common_name, const X509* issuer,
                             Validity validity) {
  Certificate made(X509_new());
  if (!made || X509_set_version(made.get(), X509_VERSION_3) != 1) return nullptr;
  X509_NAME* const name = X509_get_subject_name(made.get());
  const bool ok =
      set_random_serial(made.get()) &&
      X509_gmtime_adj(X509_getm_notBefore(made.get()), validity.from_s) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(made.get()), validity.until_s) != nullptr &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) == 1 &&
      X509_set_issuer_name(made.get(), issuer == nullptr ? name : X509_get_subject_name(issuer)) ==
          1 &&
      X509_set_pubkey(made.get(), key) == 1;
  return ok ? std::move(made) : nullptr;
}

Result<std::string> certificate_text(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1) return openssl_error("PEM");
  return drain(bio.get());
}

Result<std::string> key_text(EVP_PKEY* key, const std::string& whose) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr,
                                            nullptr) != 1) {
    return openssl_error("key of " + whose);
  }
  return drain(bio.get());
}

Status write_credentials(const std::filesystem::path& folder, const std::string& name,
                         Result<ProcessCredentials> made) {
  if (!made) return made.error();
  Status written =
      write_file_durably(folder / (name + ".pem"), as_bytes(made->certificate_pem), 0644);
  if (written)
    written = write_file_durably(folder / (name + ".key"), as_bytes(made->key_pem), 0600);
  explicit_bzero(made->key_pem.data(), made->key_pem.size());
  return written;
}

constexpr Role kRolesWithCertificates[] = {Role::Signer, Role::Coordinator, Role::Ledger,
                                           Role::Etcd,   Role::Bitcoind,    Role::Tool};

}  // namespace

bool valid_cluster_name(std::string_view cluster) {
  return !cluster.empty() && cluster.size() <= 40 &&
         std::all_of(cluster.begin(), cluster.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

std::string process_uri(std::string_view cluster, ProcessName name) {
  return "roulette://" + std::string(cluster) + "/" + role_name(name.role) + "/" +
         std::to_string(name.index);
}

std::optional<ProcessName> parse_process_uri(std::string_view uri, std::string_view cluster) {
  const std::size_t slash = uri.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  ProcessName name;
  const char* const end = uri.data() + uri.size();
  const auto [rest, error] = std::from_chars(uri.data() + slash + 1, end, name.index);
  if (error != std::errc{} || rest != end) return std::nullopt;
  for (const Role role : kRolesWithCertificates) {
    name.role = role;
    if (uri == process_uri(cluster, name)) return name;  // also refuses "/03" and other spellings
  }
  return std::nullopt;
}

struct ClusterAuthority::State {
  std::string cluster;
  Key key;
  Certificate certificate;
  std::string pem;
};

ClusterAuthority::ClusterAuthority(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClusterAuthority::ClusterAuthority(ClusterAuthority&&) noexcept = default;
ClusterAuthority& ClusterAuthority::operator=(ClusterAuthority&&) noexcept = default;
ClusterAuthority::~ClusterAuthority() = default;

const std::string& ClusterAuthority::cluster() const { return state_->cluster; }
const std::string& ClusterAuthority::certificate_pem() const { return state_->pem; }

Result<ClusterAuthority> ClusterAuthority::create(std::string cluster, Validity validity) {
  if (!valid_cluster_name(cluster)) {
    return Error{ErrorKind::Usage, "cluster name '" + cluster + "' is not [a-z0-9-]{1,40}"};
  }
  auto state = std::make_unique<State>();
  state->key = Key(EVP_EC_gen("P-256"));
  if (!state->key) return openssl_error("key of the cluster authority");
  state->certificate =
      make_certificate(state->key.get(), cluster + " authority", nullptr, validity);
  X509* const made = state->certificate.get();
  if (made == nullptr ||
      !add_extension(made, made, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add_extension(made, made, NID_key_usage, "critical,keyCertSign") ||
      !add_extension(made, made, NID_subject_key_identifier, "hash") ||
      X509_sign(made, state->key.get(), EVP_sha256()) == 0) {
    return openssl_error("certificate of the cluster authority");
  }
  auto pem = certificate_text(made);
  if (!pem) return pem.error();
  state->pem = std::move(*pem);
  state->cluster = std::move(cluster);
  return ClusterAuthority(std::move(state));
}

Result<ProcessCredentials> ClusterAuthority::issue(ProcessName name, Validity validity) const {
  return issue_named(name.text(), "critical,URI:" + process_uri(state_->cluster, name), validity);
}

Result<ProcessCredentials> ClusterAuthority::issue_for_address(const std::string& common_name,
                                                               const std::string& address,
                                                               Validity validity) const {
  return issue_named(common_name, "IP:" + address, validity);
}

Result<ProcessCredentials> ClusterAuthority::issue_named(const std::string& common_name,
                                                         const std::string& alternative,
                                                         Validity validity) const {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return openssl_error("key of " + common_name);
  X509* const authority = state_->certificate.get();
  const Certificate made = make_certificate(key.get(), common_name, authority, validity);
  if (!made ||
      !add_extension(made.get(), authority, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(made.get(), authority, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(made.get(), authority, NID_ext_key_usage, "serverAuth,clientAuth") ||
      !add_extension(made.get(), authority, NID_authority_key_identifier, "keyid:always") ||
      !add_extension(made.get(), authority, NID_subject_alt_name, alternative.c_str()) ||
      X509_sign(made.get(), state_->key.get(), EVP_sha256()) == 0) {
    return openssl_error("certificate of " + common_name);
  }
  auto pem = certificate_text(made.get());
  if (!pem) return pem.error();
  auto text = key_text(key.get(), common_name);
  if (!text) return text.error();
  return ProcessCredentials{std::move(*pem), std::move(*text)};
}

Status ClusterAuthority::write_certificate(const std::filesystem::path& folder) const {
  return write_file_durably(folder / "ca.pem", as_bytes(state_->pem), 0644);
}

Status ClusterAuthority::write_key(const std::filesystem::path& folder) const {
  auto text = key_text(state_->key.get(), state_->cluster + " authority");
  if (!text) return text.error();
  const Status written = write_file_durably(folder / "ca.key", as_bytes(*text), 0600);
  explicit_bzero(text->data(), text->size());
  return written;
}

Status ClusterAuthority::issue_into(const std::filesystem::path& folder, ProcessName name,
                                    Validity validity) const {
  return write_credentials(folder, name.text(), issue(name, validity));
}

Status ClusterAuthority::issue_for_address_into(const std::filesystem::path& folder,
                                                const std::string& common_name,
                                                const std::string& address,
                                                Validity validity) const {
  return write_credentials(folder, common_name, issue_for_address(common_name, address, validity));
}

}  // namespace roulette::runtime
