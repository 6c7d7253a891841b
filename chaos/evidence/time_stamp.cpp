// See time_stamp.h.
#include "chaos/evidence/time_stamp.h"

#include <memory>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/ts.h>
#include <openssl/x509.h>

#include "common/base/freed_by.h"
#include "common/crypto/hash.h"

namespace roulette::evidence {
namespace {

using Response = std::unique_ptr<TS_RESP, FreedBy<TS_RESP_free>>;
using Context = std::unique_ptr<TS_VERIFY_CTX, FreedBy<TS_VERIFY_CTX_free>>;
using Bio = std::unique_ptr<BIO, FreedBy<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, FreedBy<X509_free>>;
using Store = std::unique_ptr<X509_STORE, FreedBy<X509_STORE_free>>;

Error wrong(const std::string& what) {
  ERR_clear_error();
  return Error{ErrorKind::Corrupt, what};
}

Bio reader(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// The one spelling of DER, and nothing behind it.
Response parse(std::string_view token) {
  const auto* at = reinterpret_cast<const unsigned char*>(token.data());
  const unsigned char* const end = at + token.size();
  Response response(d2i_TS_RESP(nullptr, &at, static_cast<long>(token.size())));
  if (!response || at != end) return nullptr;
  unsigned char* made = nullptr;
  const int size = i2d_TS_RESP(response.get(), &made);
  const bool same = size >= 0 && token == std::string_view(reinterpret_cast<char*>(made),
                                                           static_cast<std::size_t>(size));
  OPENSSL_free(made);
  return same ? std::move(response) : nullptr;
}

Result<Store> store_of(std::string_view authority) {
  const Bio in = reader(authority);
  const Certificate certificate(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
  Store store(X509_STORE_new());
  if (!certificate || !store || X509_STORE_add_cert(store.get(), certificate.get()) != 1)
    return wrong("the authority's file holds no certificate in PEM");
  return store;
}

// By the certificate inside the token, whoever's that is: an edited time is found without a trusted
// authority, too.
bool signed_by_its_own(TS_RESP* response) {
  PKCS7* const token = TS_RESP_get_token(response);
  return PKCS7_verify(token, nullptr, nullptr, nullptr, nullptr, PKCS7_NOVERIFY) == 1;
}

std::string time_of(TS_TST_INFO* info) {
  const ASN1_GENERALIZEDTIME* time = TS_TST_INFO_get_time(info);
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(time)),
          static_cast<std::size_t>(ASN1_STRING_length(time))};
}

}  // namespace

Result<TimeStamp> check_time_stamp(std::string_view token, std::string_view envelope,
                                   std::string_view authority) {
  const Response response = parse(token);
  if (!response || TS_RESP_get_tst_info(response.get()) == nullptr)
    return wrong("no RFC 3161 response with a token");
  const Hash32 digest = crypto::sha256(as_bytes(envelope));
  const Context context(TS_VERIFY_CTX_new());
  unsigned flags = TS_VFY_VERSION | TS_VFY_IMPRINT;
  // The context takes what it is given and frees it.
  auto* imprint = static_cast<unsigned char*>(OPENSSL_memdup(digest.data(), digest.size()));
  TS_VERIFY_CTX_set_imprint(context.get(), imprint, static_cast<long>(digest.size()));
  if (!authority.empty()) {
    Result<Store> store = store_of(authority);
    if (!store) return store.error();
    flags |= TS_VFY_SIGNATURE;
    TS_VERIFY_CTX_set_store(context.get(), store->release());
  }
  TS_VERIFY_CTX_set_flags(context.get(), static_cast<int>(flags));
  if (TS_RESP_verify_response(context.get(), response.get()) != 1)
    return wrong(authority.empty() ? "it is no token for this envelope"
                                   : "it is no token for this envelope by the trusted authority");
  if (!signed_by_its_own(response.get()))
    return wrong("its signature is not that of the certificate in it");
  ERR_clear_error();
  return TimeStamp{time_of(TS_RESP_get_tst_info(response.get())), !authority.empty()};
}

}  // namespace roulette::evidence
