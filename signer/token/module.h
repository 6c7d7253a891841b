// Internal to signer/token: one PKCS#11 module with one session at one token.
//
// Invariant: used by one thread, the one that loaded it (C_Initialize without locks); a session is
// used only while it is open, and a wrong PIN is never tried twice from one PIN file. Every answer
// but CKR_OK becomes an Error in words (PROTOCOL 6).
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <p11-kit/pkcs11.h>

#include "signer/token/token.h"

namespace roulette::signer {

struct Module {
  explicit Module(TokenPlace at) : place(std::move(at)) {}
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  ~Module();

  TokenPlace place;
  void* library = nullptr;
  CK_FUNCTION_LIST* f = nullptr;
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  bool initialized = false;
  const pid_t process = ::getpid();
  CK_OBJECT_HANDLE signs = CK_INVALID_HANDLE;  // the signing key's, while the session lasts

  [[nodiscard]] Error refused(const char* what, CK_RV code) const;  // ErrorKind::Refused
  [[nodiscard]] Error missing(const std::string& why) const;        // ErrorKind::Preflight
  Status load();
  // By the token's label: slot numbers change. Nothing when no token has it.
  [[nodiscard]] Result<std::optional<CK_SLOT_ID>> find_slot(std::string* others = nullptr) const;
  // A session of its own and the user's PIN.
  Status login();
  // Session objects of the token that have all these attributes; at most eight.
  [[nodiscard]] CK_RV find(std::vector<CK_ATTRIBUTE> wanted, std::vector<CK_OBJECT_HANDLE>& out);
  // The value of an attribute; CKR_ATTRIBUTE_VALUE_INVALID when it is longer than `most`.
  [[nodiscard]] CK_RV read(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, Bytes& out,
                           std::size_t most = 256);

 private:
  Status enter(CK_SLOT_ID slot);
};

[[nodiscard]] std::string reason(CK_RV code);
// What opening the session again may heal.
[[nodiscard]] bool session_lost(CK_RV code);

// The PIN's bytes, without the newline; erased with it.
struct Pin {
  static constexpr std::size_t kMostBytes = 255;
  Secret<kMostBytes + 1> bytes;
  std::size_t length = 0;
};
[[nodiscard]] Status read_pin(const TokenPlace& place, const std::filesystem::path& file, Pin& pin);

}  // namespace roulette::signer
