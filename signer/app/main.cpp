// roulette-signer: one key share behind its checks and its journal (docs/CONFIG.md, "signer").
//
// Invariant: the process is hardened before any secret is read; nothing listens before journal,
// group and share were found to belong together. Exit codes: 0 stopped in order, 2 something it
// needs is missing or does not fit, 64 usage or configuration, 70 the disk or the control channel
// failed, 143 a stop that was forced.
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>

#include "common/base/mutants.h"
#include "common/base/secret.h"
#include "common/crypto/schnorr.h"
#include "common/runtime/daemon_command.h"
#include "common/runtime/durable_file.h"
#include "common/runtime/folder_lock.h"
#include "common/runtime/process.h"
#include "signer/app/journal_records.h"
#include "signer/app/key_material.h"
#include "signer/app/live_signer.h"
#include "signer/app/provision.h"
#include "signer/token/bounded_calls.h"

namespace roulette::signer {
namespace {

constexpr runtime::DaemonProgram kProgram{
    .name = "roulette-signer",
    .version = ROULETTE_VERSION,
    .exports = "the journal as NDJSON on stdout",
    .takes_passphrase = true,
};

int failed(const Error& error) {
  const int code = runtime::startup_failure(kProgram, error);
  // What a PKCS#11 module does at exit may wait for what hangs in it.
  if (any_call_hangs()) ::_exit(code);
  return code;
}

#ifdef ROULETTE_MUTANTS
// As a daemon that goes into the background once all is open. Who was started stays, passes
// SIGTERM on and ends as its child does; a SIGKILL of it is its child's as well.
void go_on_in_a_child() {
  static pid_t child = 0;
  child = ::fork();
  if (child == 0) {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return;
  }
  (void)::signal(SIGTERM, [](int) { (void)::kill(child, SIGTERM); });
  int status = 0;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : exit_code(ErrorKind::Internal));
}
#endif

int serve(const runtime::DaemonArguments& arguments, const Settings& settings,
          const runtime::Hygiene& hygiene) {
  auto points = runtime::KillPoints::open(Role::Signer, arguments.control_fd);
  if (!points) return failed(points.error());
  if (auto made = runtime::create_folder_durably(settings.folder); !made)
    return failed(made.error());
  // Two processes on one journal would each sign what the other one's bindings forbid.
  const auto lock = runtime::FolderLock::take(settings.folder);
  if (!lock) return failed(lock.error());
  // From here on SIGTERM is an orderly stop, also while the journal is still being read.
  runtime::EventLoop loop;
  LiveSigner* serving = nullptr;
  const runtime::TerminationSignals signals(loop, [&serving] {
    if (serving != nullptr) serving->begin_shutdown();
  });
  runtime::KernelEntropy entropy;
  const BootId boot = runtime::draw_boot_id(entropy);
  auto log = runtime::EventLog::open(settings.event_file(), settings.name, boot);
  if (!log) return failed(log.error());
  (*log)->write("started", runtime::EventFields()
                               .add("pid", ::getpid())
                               .add("version", ROULETTE_VERSION)
                               .add("memory_locked", hygiene.memory_locked));
  if (!hygiene.memory_locked)
    std::fprintf(stderr, "%s: memory is not locked: the system refused mlockall\n",
                 settings.name.text().c_str());
  Secret<32> blinding;
  entropy.fill({blinding.data(), blinding.size()});
  crypto::randomize_context(blinding);

  KeyProbe probe;
  auto config = load_config(settings, arguments.passphrase_fd, entropy, probe);
  if (!config) return failed(config.error());
#ifdef ROULETTE_MUTANTS
  if (ROULETTE_MUTANT("hsm-session-after-fork")) go_on_in_a_child();
#endif
  (*points)->attach(loop);
  LiveSigner signer({loop, **points, **log, entropy, boot, hygiene}, settings, std::move(probe));
  if (auto started = signer.start(std::move(config).value()); !started)
    return failed(started.error());
  serving = &signer;
  return signer.run();
}

int run(const runtime::DaemonArguments& arguments) {
  const auto hygiene = runtime::harden_process({.lock_memory = !arguments.export_records});
  if (!hygiene) return failed(hygiene.error());
  const auto settings = load_settings(arguments.config);
  if (!settings) return failed(settings.error());
  if (!arguments.export_records) return serve(arguments, *settings, *hygiene);
  if (auto exported = export_journal(*settings); !exported) return failed(exported.error());
  return 0;
}

int reprovision(std::span<char* const> words) {
  const auto told = parse_provision(words);
  if (!told) return failed(told.error());
  const auto hygiene = runtime::harden_process({.lock_memory = true});
  if (!hygiene) return failed(hygiene.error());
  const auto settings = load_settings(told->config);
  if (!settings) return failed(settings.error());
  const auto founded = provision_again(*settings, *told);
  return founded ? 0 : failed(founded.error());
}

std::optional<int> number_in(std::string_view text) {
  int number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
  return whole && number >= 0 ? std::optional(number) : std::nullopt;
}

// What both commands for a token are told.
struct TokenWords {
  std::string config, so_pin_file;
  std::optional<int> passphrase_fd;
};
std::optional<TokenWords> token_words(std::span<char* const> words, bool takes_passphrase) {
  TokenWords told;
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
    const std::string_view flag = words[i];
    if (flag == "--config") told.config = words[i + 1];
    else if (flag == "--so-pin-file") told.so_pin_file = words[i + 1];
    else if (flag == "--passphrase-fd" && takes_passphrase)
      told.passphrase_fd = number_in(words[i + 1]);
    else return std::nullopt;
    if (flag == "--passphrase-fd" && !told.passphrase_fd) return std::nullopt;
  }
  if (words.size() % 2 != 0 || told.config.empty()) return std::nullopt;
  return told;
}

// Runs `command(settings, entropy)` as the only process on the signer's folder.
template <class Command>
int with_folder(const std::string& config, Command&& command) {
  const auto hygiene = runtime::harden_process({.lock_memory = true});
  if (!hygiene) return failed(hygiene.error());
  const auto settings = load_settings(config);
  if (!settings) return failed(settings.error());
  if (auto made = runtime::create_folder_durably(settings->folder); !made)
    return failed(made.error());
  const auto lock = runtime::FolderLock::take(settings->folder);
  if (!lock) return failed(lock.error());
  runtime::KernelEntropy entropy;
  const Status done = command(*settings, entropy);
  return done ? 0 : failed(done.error());
}

int seal_share(std::span<char* const> words) {
  const auto told = token_words(words, true);
  if (!told)
    return failed(Error{ErrorKind::Usage, "usage: roulette-signer seal-into-token --config FILE "
                                          "[--passphrase-fd N] [--so-pin-file FILE]"});
  return with_folder(told->config, [&](const Settings& settings, EntropySource& entropy) {
    return seal_into_token(settings, told->passphrase_fd, told->so_pin_file, entropy);
  });
}

int make_key(std::span<char* const> words) {
  const auto told = token_words(words, false);
  if (!told)
    return failed(Error{ErrorKind::Usage, "usage: roulette-signer make-token-key --config FILE "
                                          "[--so-pin-file FILE]"});
  return with_folder(told->config, [&](const Settings& settings, EntropySource& entropy) -> Status {
    const auto key = make_token_key(settings, told->so_pin_file, entropy);
    if (!key) return key.error();
    std::printf("{\"public_key\":\"%s\"}\n", to_hex(*key).c_str());
    if (std::fflush(stdout) == 0) return {};
    return Error{ErrorKind::Io, "the public key cannot be printed"};
  });
}

}  // namespace
}  // namespace roulette::signer

int main(int argc, char** argv) {
  const std::span<char* const> words(argv, static_cast<std::size_t>(argc));
  if (words.size() > 1 && std::string_view(words[1]) == "reprovision")
    return roulette::signer::reprovision(words.subspan(2));
  if (words.size() > 1 && std::string_view(words[1]) == "seal-into-token")
    return roulette::signer::seal_share(words.subspan(2));
  if (words.size() > 1 && std::string_view(words[1]) == "make-token-key")
    return roulette::signer::make_key(words.subspan(2));
  return roulette::runtime::daemon_main(roulette::signer::kProgram, argc, argv,
                                        roulette::signer::run);
}
