// Talking to the module: see token.h.
//
// Invariant: a session is used only by the process that opened it. PROTOCOL 6: the slot is found by
// the token's label, ulIvBits is set, and an altered blob may give any error, so all are refusals.
#include "signer/token/token.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <p11-kit/pkcs11.h>

namespace roulette::signer {
namespace {

constexpr std::size_t kMaxPinBytes = 255;
constexpr CK_ULONG kMaxSlots = 64;
constexpr std::size_t kCipherBytes = 32 + 16;  // the share and GCM's tag
constexpr CK_ULONG kMaxKeys = 8;
constexpr char kKeyLabel[] = "quorum-roulette share vault";

struct Pin {
  Secret<kMaxPinBytes + 1> bytes;
  std::size_t length = 0;
};

Error missing(const TokenPlace& place, const std::string& why) {
  return Error{ErrorKind::Preflight, "token '" + place.label + "': " + why};
}

std::string reason(CK_RV code) {
  switch (code) {
    case CKR_PIN_INCORRECT: return "the PIN is wrong";
    case CKR_PIN_LOCKED: return "the PIN is locked after too many wrong ones";
    case CKR_PIN_LEN_RANGE: return "the PIN has an impossible length";
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_DEVICE_REMOVED: return "the token was removed";
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED: return "the session was lost";
    case CKR_USER_NOT_LOGGED_IN: return "nobody is logged in";
    default: return "the module answers " + std::to_string(code);
  }
}

bool session_lost(CK_RV code) {
  return code == CKR_SESSION_HANDLE_INVALID || code == CKR_SESSION_CLOSED ||
         code == CKR_USER_NOT_LOGGED_IN || code == CKR_DEVICE_REMOVED;
}

Status read_pin(const TokenPlace& place, Pin& pin) {
  const int fd = ::open(place.pin_file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return missing(place, place.pin_file.string() + ": the PIN file cannot be opened");
  struct stat facts {};
  const bool known = ::fstat(fd, &facts) == 0;
  const ssize_t n = ::read(fd, pin.bytes.data(), pin.bytes.size());
  ::close(fd);
  if (!known || n < 0) return missing(place, place.pin_file.string() + ": cannot be read");
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return missing(place, place.pin_file.string() + ": open to others; set its mode to 0600");
  pin.length = static_cast<std::size_t>(n);
  if (pin.length > 0 && pin.bytes.data()[pin.length - 1] == '\n') pin.length -= 1;
  if (pin.length == 0 || pin.length > kMaxPinBytes)
    return missing(place, place.pin_file.string() + ": holds no PIN of 1 to 255 bytes");
  return {};
}

// Blank-padded, as PKCS#11 has it.
std::string label_of(const CK_TOKEN_INFO& info) {
  std::string label(reinterpret_cast<const char*>(info.label), sizeof info.label);
  label.erase(label.find_last_not_of(' ') + 1);
  return label;
}

CK_GCM_PARAMS gcm(ByteArray<12>& nonce, Bytes& bound) {
  CK_GCM_PARAMS parameters{};
  parameters.pIv = nonce.data();
  parameters.ulIvLen = nonce.size();
  parameters.ulIvBits = nonce.size() * 8;
  parameters.pAAD = bound.data();
  parameters.ulAADLen = bound.size();
  parameters.ulTagBits = 128;
  return parameters;
}

}  // namespace

struct Token::Module {
  TokenPlace place;
  void* library = nullptr;
  CK_FUNCTION_LIST* f = nullptr;
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  bool initialized = false;
  pid_t process = ::getpid();

  // A child of a fork leaves the module alone: what it would close is its parent's.
  ~Module() {
    if (initialized && process == ::getpid()) (void)f->C_Finalize(nullptr);
    if (library != nullptr) ::dlclose(library);
  }

  [[nodiscard]] Error refused(const char* what, CK_RV code) const {
    return Error{ErrorKind::Refused,
                 "token '" + place.label + "': " + what + ": " + reason(code)};
  }
  Status load();
  [[nodiscard]] Result<CK_SLOT_ID> slot();
  Status login();
  [[nodiscard]] CK_RV keys(std::vector<CK_OBJECT_HANDLE>& out);
  [[nodiscard]] bool works(CK_OBJECT_HANDLE key);
  [[nodiscard]] Status own_process() const {
    if (process == ::getpid()) return {};
    return Error{ErrorKind::Refused, "token '" + place.label + "': opened before a fork"};
  }
  // `call(session, key)` gives a CK_RV; a lost session is opened again, once.
  template <class Call>
  Status with_key(const char* what, Call&& call);
};

Status Token::Module::load() {
  library = ::dlopen(place.module.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return missing(place, place.module.string() + ": the PKCS#11 module cannot be loaded");
  const auto list =
      reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  if (list == nullptr || list(&f) != CKR_OK || f == nullptr)
    return missing(place, place.module.string() + ": is no PKCS#11 module");
  if (const CK_RV code = f->C_Initialize(nullptr); code != CKR_OK)
    return missing(place, "the module does not start: " + reason(code));
  initialized = true;
  return {};
}

Result<CK_SLOT_ID> Token::Module::slot() {
  std::vector<CK_SLOT_ID> slots(kMaxSlots);
  CK_ULONG count = kMaxSlots;
  if (const CK_RV code = f->C_GetSlotList(CK_TRUE, slots.data(), &count); code != CKR_OK)
    return missing(place, "the module lists no tokens: " + reason(code));
  std::string others;
  std::optional<CK_SLOT_ID> found;
  for (CK_ULONG i = 0; i < count; ++i) {
    CK_TOKEN_INFO info{};
    if (f->C_GetTokenInfo(slots[i], &info) != CKR_OK) continue;
    if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) continue;
    const std::string label = label_of(info);
    if (label == place.label && found) return missing(place, "two tokens have this label");
    if (label == place.label) found = slots[i];
    else others += (others.empty() ? "" : ", ") + label;
  }
  if (found) return *found;
  return missing(place, "there is none; the module has " + (others.empty() ? "no token" : others));
}

Status Token::Module::login() {
  const auto at = slot();
  if (!at) return at.error();
  (void)f->C_CloseAllSessions(*at);
  if (const CK_RV code = f->C_OpenSession(*at, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr,
                                          nullptr, &session);
      code != CKR_OK)
    return refused("no session", code);
  Pin pin;
  if (const Status read = read_pin(place, pin); !read) return read;
  const CK_RV code = f->C_Login(session, CKU_USER, pin.bytes.data(), pin.length);
  if (code != CKR_OK && code != CKR_USER_ALREADY_LOGGED_IN) return refused("no login", code);
  return {};
}

CK_RV Token::Module::keys(std::vector<CK_OBJECT_HANDLE>& out) {
  CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
  std::string label = kKeyLabel;
  CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &kind, sizeof kind},
                           {CKA_LABEL, label.data(), label.size()}};
  CK_RV code = f->C_FindObjectsInit(session, wanted, std::size(wanted));
  if (code != CKR_OK) return code;
  out.resize(kMaxKeys);
  CK_ULONG count = 0;
  code = f->C_FindObjects(session, out.data(), kMaxKeys, &count);
  (void)f->C_FindObjectsFinal(session);
  out.resize(code == CKR_OK ? count : 0);
  return code;
}

// Seals and opens 32 bytes. SIGKILL while a key is made may leave half of one (PROTOCOL 6).
bool Token::Module::works(CK_OBJECT_HANDLE key) {
  ByteArray<12> iv{};
  Bytes bound = {1}, plain(32, 7), cipher(kCipherBytes), again(kCipherBytes);
  CK_GCM_PARAMS parameters = gcm(iv, bound);
  CK_MECHANISM how{CKM_AES_GCM, &parameters, sizeof parameters};
  CK_ULONG size = cipher.size(), opened = again.size();
  if (f->C_EncryptInit(session, &how, key) != CKR_OK ||
      f->C_Encrypt(session, plain.data(), plain.size(), cipher.data(), &size) != CKR_OK ||
      f->C_DecryptInit(session, &how, key) != CKR_OK ||
      f->C_Decrypt(session, cipher.data(), size, again.data(), &opened) != CKR_OK)
    return false;
  again.resize(opened);
  return again == plain;
}

template <class Call>
Status Token::Module::with_key(const char* what, Call&& call) {
  if (const Status own = own_process(); !own) return own;
  CK_RV code = CKR_OK;
  for (int tries = 0; tries < 2; ++tries) {
    std::vector<CK_OBJECT_HANDLE> found;
    code = keys(found);
    if (code == CKR_OK && found.size() != 1)
      return Error{ErrorKind::Refused, "token '" + place.label + "': it holds " +
                                           (found.empty() ? "no" : "more than one") +
                                           " share vault key"};
    if (code == CKR_OK) code = call(session, found.front());
    if (code == CKR_OK) return {};
    if (!session_lost(code)) break;
    if (const Status again = login(); !again) return again;
  }
  return refused(what, code);
}

Token::Token(std::unique_ptr<Module> module) : module_(std::move(module)) {}
Token::~Token() = default;

Result<std::unique_ptr<Token>> Token::open(const TokenPlace& place) {
  auto module = std::make_unique<Module>();
  module->place = place;
  if (const Status loaded = module->load(); !loaded) return loaded.error();
  if (const Status in = module->login(); !in) return in.error();
  return std::unique_ptr<Token>(new Token(std::move(module)));
}

Status Token::ensure_key() {
  Module& m = *module_;
  if (const Status own = m.own_process(); !own) return own;
  std::vector<CK_OBJECT_HANDLE> found;
  if (const CK_RV code = m.keys(found); code != CKR_OK)
    return m.refused("its keys cannot be listed", code);
  // What neither seals nor opens protects nothing: it goes, and another is made.
  for (const CK_OBJECT_HANDLE key : found) {
    if (m.works(key)) return {};
    if (const CK_RV code = m.f->C_DestroyObject(m.session, key); code != CKR_OK)
      return m.refused("half a key cannot be taken away", code);
  }
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_ULONG bytes = 32;
  std::string label = kKeyLabel;
  CK_ATTRIBUTE key[] = {{CKA_TOKEN, &yes, sizeof yes},
                        {CKA_PRIVATE, &yes, sizeof yes},
                        {CKA_SENSITIVE, &yes, sizeof yes},
                        {CKA_EXTRACTABLE, &no, sizeof no},
                        {CKA_ENCRYPT, &yes, sizeof yes},
                        {CKA_DECRYPT, &yes, sizeof yes},
                        {CKA_VALUE_LEN, &bytes, sizeof bytes},
                        {CKA_LABEL, label.data(), label.size()}};
  CK_MECHANISM make{CKM_AES_KEY_GEN, nullptr, 0};
  CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
  const CK_RV code = m.f->C_GenerateKey(m.session, &make, key, std::size(key), &made);
  if (code != CKR_OK) return m.refused("no key was made", code);
  if (m.works(made)) return {};
  return Error{ErrorKind::Refused, "token '" + m.place.label + "': the key it made does not work"};
}

Result<Bytes> Token::encrypt(const ByteArray<12>& nonce, ByteSpan bound, const Secret<32>& plain) {
  ByteArray<12> iv = nonce;
  Bytes aad(bound.begin(), bound.end());
  CK_GCM_PARAMS parameters = gcm(iv, aad);
  CK_MECHANISM how{CKM_AES_GCM, &parameters, sizeof parameters};
  Secret<32> copy = plain.clone();  // PKCS#11 takes no const
  Bytes out(kCipherBytes);
  CK_ULONG size = 0;
  const Status done = module_->with_key("it does not seal", [&](CK_SESSION_HANDLE s,
                                                                CK_OBJECT_HANDLE key) {
    size = out.size();
    const CK_RV code = module_->f->C_EncryptInit(s, &how, key);
    return code == CKR_OK ? module_->f->C_Encrypt(s, copy.data(), copy.size(), out.data(), &size)
                          : code;
  });
  if (!done) return done.error();
  if (size != kCipherBytes)
    return Error{ErrorKind::Internal, "the module seals with another size than GCM's"};
  return out;
}

Result<Secret<32>> Token::decrypt(const ByteArray<12>& nonce, ByteSpan bound, ByteSpan cipher) {
  ByteArray<12> iv = nonce;
  Bytes aad(bound.begin(), bound.end());
  CK_GCM_PARAMS parameters = gcm(iv, aad);
  CK_MECHANISM how{CKM_AES_GCM, &parameters, sizeof parameters};
  Bytes in(cipher.begin(), cipher.end());
  Secret<kCipherBytes> plain;  // a module may want room for the tag
  CK_ULONG size = 0;
  const Status done = module_->with_key("wrong key, or the file was altered",
                                        [&](CK_SESSION_HANDLE s, CK_OBJECT_HANDLE key) {
    size = plain.size();
    const CK_RV code = module_->f->C_DecryptInit(s, &how, key);
    return code == CKR_OK ? module_->f->C_Decrypt(s, in.data(), in.size(), plain.data(), &size)
                          : code;
  });
  if (!done) return done.error();
  if (size != 32) return Error{ErrorKind::Refused, "what the token opened is no share"};
  return Secret<32>(plain.span().first<32>());
}

}  // namespace roulette::signer
