// Loading a module, finding the token, logging in: see module.h.
//
// Invariant: what a PIN file held when the token refused it is not tried again until that file
// changes, across restarts: a supervisor that restarts a signer must not lock its token.
#include "signer/token/module.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

namespace roulette::signer {
namespace {

constexpr CK_ULONG kMaxSlots = 64;
constexpr CK_ULONG kMaxObjects = 8;

// Blank-padded, as PKCS#11 has it.
std::string label_of(const CK_TOKEN_INFO& info) {
  std::string label(reinterpret_cast<const char*>(info.label), sizeof info.label);
  label.erase(label.find_last_not_of(' ') + 1);
  return label;
}

// Which PIN file this is, without its contents: a hash of a PIN would give the PIN away.
std::string identity_of(const std::filesystem::path& file) {
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0) return {};
  return std::to_string(facts.st_dev) + " " + std::to_string(facts.st_ino) + " " +
         std::to_string(facts.st_mtim.tv_sec) + "." + std::to_string(facts.st_mtim.tv_nsec) + " " +
         std::to_string(facts.st_size);
}

bool was_refused(const TokenPlace& place) {
  if (place.refused_pin.empty()) return false;
  std::ifstream in(place.refused_pin);
  std::string known;
  return std::getline(in, known) && known == identity_of(place.pin_file);
}

// False: it could not be written down.
bool remember_refused(const TokenPlace& place) {
  if (place.refused_pin.empty()) return true;
  const int fd = ::open(place.refused_pin.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const std::string line = identity_of(place.pin_file) + "\n";
  const bool written = ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  const bool kept = ::fsync(fd) == 0;
  return ::close(fd) == 0 && written && kept;
}

}  // namespace

std::string reason(CK_RV code) {
  switch (code) {
    case CKR_PIN_INCORRECT: return "the PIN is wrong";
    case CKR_PIN_LOCKED: return "the PIN is locked after too many wrong ones";
    case CKR_PIN_LEN_RANGE: return "the PIN has an impossible length";
    case CKR_USER_PIN_NOT_INITIALIZED: return "the token has no user PIN yet";
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_DEVICE_REMOVED: return "the token was removed";
    case CKR_DEVICE_ERROR: return "the token reports an error of its own";
    case CKR_FUNCTION_FAILED: return "the token refuses (CKR_FUNCTION_FAILED)";
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

Status read_pin(const TokenPlace& place, const std::filesystem::path& file, Pin& pin) {
  const auto missing = [&](const char* why) {
    return Error{ErrorKind::Preflight,
                 "token '" + place.label + "': " + file.string() + ": " + why};
  };
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return missing("the PIN file cannot be opened");
  struct stat facts {};
  const bool known = ::fstat(fd, &facts) == 0;
  const ssize_t n = ::read(fd, pin.bytes.data(), pin.bytes.size());
  ::close(fd);
  if (!known || n < 0) return missing("cannot be read");
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return missing("open to others; set its mode to 0600");
  pin.length = static_cast<std::size_t>(n);
  if (pin.length > 0 && pin.bytes.data()[pin.length - 1] == '\n') pin.length -= 1;
  if (pin.length == 0 || pin.length > Pin::kMostBytes)
    return missing("holds no PIN of 1 to 255 bytes");
  return {};
}

// A child of a fork leaves the module alone: what it would close is its parent's.
Module::~Module() {
  if (initialized && process == ::getpid()) (void)f->C_Finalize(nullptr);
  if (library != nullptr) ::dlclose(library);
}

Error Module::refused(const char* what, CK_RV code) const {
  return Error{ErrorKind::Refused, "token '" + place.label + "': " + what + ": " + reason(code)};
}

Error Module::missing(const std::string& why) const {
  return Error{ErrorKind::Preflight, "token '" + place.label + "': " + why};
}

Status Module::load() {
  library = ::dlopen(place.module.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return missing(place.module.string() + ": the PKCS#11 module cannot be loaded");
  const auto list =
      reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  if (list == nullptr || list(&f) != CKR_OK || f == nullptr)
    return missing(place.module.string() + ": is no PKCS#11 module");
  if (const CK_RV code = f->C_Initialize(nullptr); code != CKR_OK)
    return missing("the module does not start: " + reason(code));
  initialized = true;
  return {};
}

Result<std::optional<CK_SLOT_ID>> Module::find_slot(std::string* others) const {
  std::vector<CK_SLOT_ID> slots(kMaxSlots);
  CK_ULONG count = kMaxSlots;
  if (const CK_RV code = f->C_GetSlotList(CK_TRUE, slots.data(), &count); code != CKR_OK)
    return missing("the module lists no tokens: " + reason(code));
  std::optional<CK_SLOT_ID> found;
  for (CK_ULONG i = 0; i < count; ++i) {
    CK_TOKEN_INFO info{};
    if (f->C_GetTokenInfo(slots[i], &info) != CKR_OK) continue;
    if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) continue;
    const std::string label = label_of(info);
    if (label == place.label && found) return missing("two tokens have this label");
    if (label == place.label) found = slots[i];
    else if (others != nullptr) *others += (others->empty() ? "" : ", ") + label;
  }
  return found;
}

Status Module::login() {
  std::string others;
  const auto at = find_slot(&others);
  if (!at) return at.error();
  if (!*at)
    return missing("there is none; the module has " + (others.empty() ? "no token" : others));
  return enter(**at);
}

Status Module::enter(CK_SLOT_ID slot) {
  signs = session = CK_INVALID_HANDLE;
  (void)f->C_CloseAllSessions(slot);
  if (const CK_RV code = f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr,
                                          nullptr, &session);
      code != CKR_OK)
    return refused("no session", code);
  CK_TOKEN_INFO info{};
  if (const CK_RV code = f->C_GetTokenInfo(slot, &info); code != CKR_OK)
    return refused("it does not say how it is", code);
  if ((info.flags & CKF_USER_PIN_LOCKED) != 0) return refused("no login", CKR_PIN_LOCKED);
  if ((info.flags & CKF_USER_PIN_FINAL_TRY) != 0)
    return missing("one more wrong PIN locks it: not tried; log in once by other means");
  if (was_refused(place))
    return missing("it refused this PIN before, and " + place.pin_file.string() +
                   " is as it was: not tried again");
  Pin pin;
  if (const Status read = read_pin(place, place.pin_file, pin); !read) return read;
  const CK_RV code = f->C_Login(session, CKU_USER, pin.bytes.data(), pin.length);
  const bool wrong = code == CKR_PIN_INCORRECT || code == CKR_PIN_LEN_RANGE;
  if (wrong && !remember_refused(place))
    return missing("the PIN is wrong, and that cannot be written down in " +
                   place.refused_pin.string() + ": beware of restarts");
  if (code == CKR_OK || code == CKR_USER_ALREADY_LOGGED_IN) return {};
  session = CK_INVALID_HANDLE;
  return refused("no login", code);
}

CK_RV Module::find(std::vector<CK_ATTRIBUTE> wanted, std::vector<CK_OBJECT_HANDLE>& out) {
  out.clear();
  CK_RV code = f->C_FindObjectsInit(session, wanted.data(), wanted.size());
  if (code != CKR_OK) return code;
  out.resize(kMaxObjects);
  CK_ULONG count = 0;
  code = f->C_FindObjects(session, out.data(), kMaxObjects, &count);
  const CK_RV closed = f->C_FindObjectsFinal(session);
  out.resize(code == CKR_OK ? std::min(count, kMaxObjects) : 0);
  return code == CKR_OK ? closed : code;
}

CK_RV Module::read(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, Bytes& out, std::size_t most) {
  out.assign(most, 0);
  CK_ATTRIBUTE wanted{type, out.data(), out.size()};
  const CK_RV code = f->C_GetAttributeValue(session, object, &wanted, 1);
  if (code != CKR_OK) return code;
  if (wanted.ulValueLen == CK_UNAVAILABLE_INFORMATION || wanted.ulValueLen > most)
    return CKR_ATTRIBUTE_VALUE_INVALID;
  out.resize(wanted.ulValueLen);
  return CKR_OK;
}

}  // namespace roulette::signer
