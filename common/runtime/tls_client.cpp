// TLS for HTTP clients: see tls_client.h. OpenSSL on memory BIOs, as in tls_transport.cpp.
#include "common/runtime/tls_client.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <utility>

#include "common/base/assert.h"
#include "common/base/freed_by.h"

namespace roulette::runtime {
namespace {

using Context = std::unique_ptr<SSL_CTX, FreedBy<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, FreedBy<SSL_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, FreedBy<GENERAL_NAMES_free>>;

bool numeric(const std::string& host) {
  in_addr unused{};
  return ::inet_pton(AF_INET, host.c_str(), &unused) == 1;
}

std::string reason_of(unsigned long code) {
  const char* const reason = ERR_reason_error_string(code);
  return reason == nullptr ? "protocol error" : reason;
}

// "DNS:a, IP:10.0.0.1": for the person who compares it with the URL.
std::string names_in(const X509* certificate) {
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string out;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    std::string text;
    if (name->type == GEN_DNS) {
      text.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                  static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
      text = "DNS:" + text;
    } else if (name->type == GEN_IPADD && ASN1_STRING_length(name->d.iPAddress) == 4) {
      std::array<char, INET_ADDRSTRLEN> address{};
      ::inet_ntop(AF_INET, ASN1_STRING_get0_data(name->d.iPAddress), address.data(),
                  address.size());
      text = std::string("IP:") + address.data();
    }
    if (text.empty()) continue;
    out += (out.empty() ? "" : ", ") + text;
  }
  return out.empty() ? "nobody" : out;
}

}  // namespace

struct TlsClientContext::State {
  TlsClientFiles files;
  Context context;
};

TlsClientContext::TlsClientContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsClientContext::~TlsClientContext() = default;

Result<std::shared_ptr<const TlsClientContext>> TlsClientContext::load(TlsClientFiles files) {
  const auto bad = [](const std::filesystem::path& file, const std::string& what) {
    const std::string why = reason_of(ERR_peek_error());
    ERR_clear_error();
    return Error{ErrorKind::Preflight, file.string() + ": " + what + " (" + why + ")"};
  };
  Context context(SSL_CTX_new(TLS_client_method()));
  if (!context) return Error{ErrorKind::Internal, "no TLS context"};
  SSL_CTX* const raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_load_verify_file(raw, files.authority.c_str()) != 1)
    return bad(files.authority, "no certificate of an authority can be read there");
  if (!files.certificate.empty()) {
    if (SSL_CTX_use_certificate_chain_file(raw, files.certificate.c_str()) != 1)
      return bad(files.certificate, "no certificate can be read there");
    if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(raw) != 1)
      return bad(files.key, "no key of " + files.certificate.string() + " can be read there");
  }
  auto state = std::make_unique<State>(State{std::move(files), std::move(context)});
  return std::shared_ptr<const TlsClientContext>(new TlsClientContext(std::move(state)));
}

struct TlsClientSession::State {
  std::shared_ptr<const TlsClientContext> context;
  std::string host;
  Ssl ssl;
  BIO* from_server = nullptr;  // owned by ssl
  BIO* to_server = nullptr;
  std::string reason;
  std::string names;  // in a certificate that was refused

  static int on_verified(int fits, X509_STORE_CTX* store);
  Step step(int result);
  std::string explain(unsigned long code) const;
  std::string explain_certificate(long verified) const;
  std::string explain_refusal(const std::string& alert) const;
};

TlsClientSession::TlsClientSession(std::shared_ptr<const TlsClientContext> context,
                                   const std::string& host)
    : state_(std::make_unique<State>()) {
  State& s = *state_;  // stays where it is: OpenSSL holds its address
  s.context = std::move(context);
  s.host = host;
  s.ssl = Ssl(SSL_new(s.context->state_->context.get()));
  s.from_server = BIO_new(BIO_s_mem());
  s.to_server = BIO_new(BIO_s_mem());
  ROULETTE_ASSERT(s.ssl && s.from_server != nullptr && s.to_server != nullptr);
  SSL_set_bio(s.ssl.get(), s.from_server, s.to_server);
  SSL_set_connect_state(s.ssl.get());
  SSL_set_app_data(s.ssl.get(), &s);
  SSL_set_verify(s.ssl.get(), SSL_VERIFY_PEER, &State::on_verified);
  // RFC 9525: the name that was asked for, no partial wildcards. Without a check, whoever holds
  // any certificate of this authority could answer.
  SSL_set_hostflags(s.ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  bool named = false;
  if (numeric(host)) {
    named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s.ssl.get()), host.c_str()) == 1;
  } else {
    named = SSL_set1_host(s.ssl.get(), host.c_str()) == 1 &&
            SSL_set_tlsext_host_name(s.ssl.get(), host.c_str()) == 1;
  }
  ROULETTE_ASSERT(named);
}

TlsClientSession::~TlsClientSession() = default;

// Decides nothing; afterwards the certificate that was refused is gone.
int TlsClientSession::State::on_verified(int fits, X509_STORE_CTX* store) {
  const X509* const certificate = X509_STORE_CTX_get_current_cert(store);
  if (fits == 1 || certificate == nullptr) return fits;
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  static_cast<State*>(SSL_get_app_data(ssl))->names = names_in(certificate);
  return fits;
}

const std::string& TlsClientSession::reason() const {
  return state_->reason;
}

TlsClientSession::Step TlsClientSession::State::step(int result) {
  if (result > 0) return Step::Done;
  const int error = SSL_get_error(ssl.get(), result);
  if (error == SSL_ERROR_WANT_READ) return Step::WantInput;
  if (error == SSL_ERROR_ZERO_RETURN) return Step::Closed;
  reason = explain(ERR_peek_error());
  ERR_clear_error();
  return Step::Failed;
}

std::string TlsClientSession::State::explain(unsigned long code) const {
  const long verified = SSL_get_verify_result(ssl.get());
  if (verified != X509_V_OK) return explain_certificate(verified);
  const std::string text = reason_of(code);
  switch (ERR_GET_REASON(code)) {
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return explain_refusal(text);
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
      return "it does not speak TLS there (" + text + "): is it https, and this port?";
    default:
      return "TLS: " + text;
  }
}

std::string TlsClientSession::State::explain_certificate(long verified) const {
  const std::string why = X509_verify_cert_error_string(verified);
  switch (verified) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: {
      return "its certificate does not name " + host + " but " + names +
             ": ask it by a name that the certificate has, or issue one with this name";
    }
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "its certificate, or its authority's, is not valid now (" + why +
             "): renew it, or set the clock";
    default:
      return "its certificate is not one of the authority in " +
             context->state_->files.authority.string() + " (" + why +
             "): name the file of the authority that signed it";
  }
}

std::string TlsClientSession::State::explain_refusal(const std::string& alert) const {
  const TlsClientFiles& files = context->state_->files;
  if (files.certificate.empty())
    return "it wants a client certificate (" + alert + "): name one, with its key";
  return "it refuses the client certificate in " + files.certificate.string() + " (" + alert +
         "): it must be valid now, for client authentication, and signed by the authority that "
         "the server trusts for clients";
}

// In TLS 1.3 a client is done before the server has judged its certificate, and the server's word
// may be lost with the connection.
std::string TlsClientSession::early_end(const std::string& what) const {
  const TlsClientFiles& files = state_->context->state_->files;
  return what + " right after the handshake: perhaps it refuses " +
         (files.certificate.empty() ? "whoever has no client certificate"
                                    : "the client certificate in " + files.certificate.string());
}

TlsClientSession::Step TlsClientSession::handshake() {
  ERR_clear_error();
  return state_->step(SSL_do_handshake(state_->ssl.get()));
}

TlsClientSession::Step TlsClientSession::read(void* data, std::size_t& size) {
  ERR_clear_error();
  const std::size_t room = std::exchange(size, 0);
  return state_->step(SSL_read_ex(state_->ssl.get(), data, room, &size));
}

bool TlsClientSession::write(const void* data, std::size_t size) {
  ERR_clear_error();
  std::size_t written = 0;
  // A memory BIO takes everything.
  return state_->step(SSL_write_ex(state_->ssl.get(), data, size, &written)) == Step::Done;
}

void TlsClientSession::feed(ByteSpan ciphertext) {
  const int taken =
      BIO_write(state_->from_server, ciphertext.data(), static_cast<int>(ciphertext.size()));
  ROULETTE_ASSERT(taken == static_cast<int>(ciphertext.size()));
}

Bytes TlsClientSession::take_output() {
  Bytes out(BIO_ctrl_pending(state_->to_server));
  if (out.empty()) return out;
  const int taken = BIO_read(state_->to_server, out.data(), static_cast<int>(out.size()));
  ROULETTE_ASSERT(taken == static_cast<int>(out.size()));
  return out;
}

}  // namespace roulette::runtime
