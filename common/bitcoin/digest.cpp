// See digest.h. The one-shot SHA256() is used because it is the part of that API OpenSSL 3 keeps.
//
// It cannot fail: it allocates nothing and needs no provider. No state is kept between calls.
#include "common/bitcoin/digest.h"

#include <openssl/sha.h>

namespace roulette::bitcoin {

Hash32 sha256(ByteSpan bytes) {
  Hash32 out{};
  SHA256(bytes.data(), bytes.size(), out.data());
  return out;
}

Hash32 double_sha256(ByteSpan bytes) { return sha256(sha256(bytes)); }

Hash32 tagged_sha256(std::string_view tag, ByteSpan bytes) {
  const Hash32 tag_hash = sha256(as_bytes(tag));
  Bytes message;
  message.reserve(2 * tag_hash.size() + bytes.size());
  append(message, tag_hash);
  append(message, tag_hash);
  append(message, bytes);
  return sha256(message);
}

}  // namespace roulette::bitcoin
