// A PKCS#11 module that forwards to a real one and fails as it is told: a removed token, a lost
// session, a slow one, one that refuses, one that does not answer until it is told otherwise.
//
// Invariant: what it does stands in one file, read at every call that uses a key or a session, so
// it changes while a signer runs; every login and every fault is written down before it happens.
// Without a word in that file it changes nothing.

//   FAULTY_TOKEN_MODULE   the real module
//   FAULTY_TOKEN_CONTROL  the file, ~/token-control by default:
//                         "CALL[,CALL...] removed|session-lost|refuse|slow MS|hang"
//                         where CALL is sign, crypt, find, session, login, destroy or all
//   FAULTY_TOKEN_CONTROL.log     what happened, one word a line
//   FAULTY_TOKEN_CONTROL.faults  each call that met a fault, {"t_us","call","answer"} a line, by
//                                the clock that the tool's records have
#include <dlfcn.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include <p11-kit/pkcs11.h>

namespace {

constexpr useconds_t kLookAgainUs = 10'000;

CK_FUNCTION_LIST* real = nullptr;
CK_FUNCTION_LIST faulty;

std::string control_file() {
  if (const char* file = std::getenv("FAULTY_TOKEN_CONTROL")) return file;
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "/nonexistent" : home) + "/token-control";
}

void note(const std::string& word) {
  // Nobody who was not told to fail leaves a file in somebody's home.
  if (std::getenv("FAULTY_TOKEN_CONTROL") == nullptr && !std::ifstream(control_file())) return;
  std::ofstream(control_file() + ".log", std::ios::app) << word << "\n";
}

// One write(2) a line, before the call is answered.
void note_fault(const std::string& call, const std::string& answer) {
  timespec now{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  const std::string line = "{\"t_us\":" + std::to_string(now.tv_sec * 1'000'000 +
                                                         now.tv_nsec / 1'000) +
                           ",\"call\":\"" + call + "\",\"answer\":\"" + answer + "\"}\n";
  const int fd = ::open((control_file() + ".faults").c_str(),
                        O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;  // then nothing proves the fault
  (void)!::write(fd, line.data(), line.size());
  ::close(fd);
}

// How calls of this function are to fail now; empty: not at all.
struct Told {
  std::string how;
  long ms = 0;
};
Told told(const std::string& function) {
  std::ifstream in(control_file());
  std::string functions;
  Told out;
  if (!(in >> functions >> out.how)) return {};
  in >> out.ms;
  std::istringstream list(functions);
  for (std::string one; std::getline(list, one, ',');) {
    if (one == function || one == "all") return out;
  }
  return {};
}

// What to answer instead; CKR_OK: ask the real module.
CK_RV fault_of(const std::string& function) {
  const Told now = told(function);
  if (now.how.empty()) return CKR_OK;
  note(function + " " + now.how);
  note_fault(function, now.how);
  if (now.how == "removed") return CKR_DEVICE_REMOVED;
  if (now.how == "session-lost") return CKR_SESSION_HANDLE_INVALID;
  if (now.how == "refuse") return CKR_FUNCTION_FAILED;
  if (now.how == "slow") ::usleep(static_cast<useconds_t>(now.ms * 1000));
  if (now.how == "hang") {  // one call, one line, however long; its process may end meanwhile
    while (told(function).how == "hang") ::usleep(kLookAgainUs);
  }
  return CKR_OK;
}

// Each forwards the call of that name unless its kind is to fail.
template <auto member, class... Arguments>
CK_RV guarded(const char* kind, Arguments... arguments) {
  const CK_RV fault = fault_of(kind);
  return fault == CKR_OK ? (real->*member)(arguments...) : fault;
}

CK_RV sign_init(CK_SESSION_HANDLE s, CK_MECHANISM* m, CK_OBJECT_HANDLE key) {
  return guarded<&CK_FUNCTION_LIST::C_SignInit>("sign", s, m, key);
}
CK_RV encrypt_init(CK_SESSION_HANDLE s, CK_MECHANISM* m, CK_OBJECT_HANDLE key) {
  return guarded<&CK_FUNCTION_LIST::C_EncryptInit>("crypt", s, m, key);
}
CK_RV decrypt_init(CK_SESSION_HANDLE s, CK_MECHANISM* m, CK_OBJECT_HANDLE key) {
  return guarded<&CK_FUNCTION_LIST::C_DecryptInit>("crypt", s, m, key);
}
CK_RV find_init(CK_SESSION_HANDLE s, CK_ATTRIBUTE* wanted, CK_ULONG count) {
  return guarded<&CK_FUNCTION_LIST::C_FindObjectsInit>("find", s, wanted, count);
}
CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void* own, CK_NOTIFY call,
                   CK_SESSION_HANDLE* session) {
  return guarded<&CK_FUNCTION_LIST::C_OpenSession>("session", slot, flags, own, call, session);
}
CK_RV destroy(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE object) {
  note("destroyed");
  return guarded<&CK_FUNCTION_LIST::C_DestroyObject>("destroy", s, object);
}
CK_RV login(CK_SESSION_HANDLE s, CK_USER_TYPE who, unsigned char* pin, CK_ULONG length) {
  note("login");
  return guarded<&CK_FUNCTION_LIST::C_Login>("login", s, who, pin, length);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(
    CK_FUNCTION_LIST** list) {
  const char* module = std::getenv("FAULTY_TOKEN_MODULE");
  void* library = ::dlopen(module == nullptr ? "/usr/lib/softhsm/libsofthsm2.so" : module,
                           RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return CKR_GENERAL_ERROR;
  const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  if (get == nullptr || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
  faulty = *real;
  faulty.C_SignInit = sign_init;
  faulty.C_EncryptInit = encrypt_init;
  faulty.C_DecryptInit = decrypt_init;
  faulty.C_FindObjectsInit = find_init;
  faulty.C_OpenSession = open_session;
  faulty.C_DestroyObject = destroy;
  faulty.C_Login = login;
  *list = &faulty;
  return CKR_OK;
}
