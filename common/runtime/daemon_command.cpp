// The daemons' command line: see daemon_command.h.
#include "common/runtime/daemon_command.h"

#include <charconv>
#include <cstdio>
#include <string_view>

#include "common/runtime/planted_bug.h"

namespace roulette::runtime {
namespace {

Error usage_error(const std::string& what) {
  return Error{ErrorKind::Usage, what};
}

std::optional<int> descriptor(std::string_view text) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

}  // namespace

std::string usage_of(const DaemonProgram& program) {
  const std::string name = program.name;
  std::string text = "usage: " + name + " --config FILE [--control-fd N]";
  if (program.takes_passphrase) text += " [--passphrase-fd N]";
  text += "\n";
  if (program.exports != nullptr)
    text += "       " + name + " export --config FILE     " + program.exports + "\n";
  return text + "       " + name + " --version\n";
}

Result<DaemonArguments> parse_daemon_arguments(const DaemonProgram& program,
                                               std::span<char* const> words) {
  DaemonArguments out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string word = words[i];
    if (word == "export" && i == 0 && program.exports != nullptr) {
      out.export_records = true;
      continue;
    }
    if (word == "--version") {
      out.version = true;
      continue;
    }
    const bool passphrase = word == "--passphrase-fd" && program.takes_passphrase;
    if (word != "--config" && word != "--control-fd" && !passphrase)
      return usage_error("unknown argument " + word);
    if (i + 1 == words.size()) return usage_error(word + " wants a value");
    const std::string value = words[++i];
    if (word == "--config") {
      if (value.empty()) return usage_error("--config wants a file's name");
      out.config = value;
      continue;
    }
    const auto number = descriptor(value);
    if (!number) return usage_error(word + " wants a descriptor's number, not '" + value + "'");
    (passphrase ? out.passphrase_fd : out.control_fd) = number;
  }
  if (out.config.empty() && !out.version) return usage_error("--config is missing");
  return out;
}

int startup_failure(const DaemonProgram& program, const Error& error) {
  std::fprintf(stderr, "%s: %s\n", program.name, error.message.c_str());
  if (error.kind == ErrorKind::Usage) return exit_code(ErrorKind::Usage);
  return exit_code(error.kind == ErrorKind::Internal ? error.kind : ErrorKind::Preflight);
}

int daemon_main(const DaemonProgram& program, int argc, char** argv,
                const std::function<int(const DaemonArguments&)>& run) {
  const std::size_t words = argc > 0 ? static_cast<std::size_t>(argc - 1) : 0;
  const auto arguments = parse_daemon_arguments(program, std::span(argv + argc - words, words));
  if (!arguments) {
    std::fprintf(stderr, "%s: %s\n%s", program.name, arguments.error().message.c_str(),
                 usage_of(program).c_str());
    return exit_code(ErrorKind::Usage);
  }
  if (arguments->version) {
    std::printf("%s %s\n", program.name, program.version);
    return 0;
  }
  if (const Status bug = choose_planted_bug(); !bug) return startup_failure(program, bug.error());
  return run(*arguments);
}

}  // namespace roulette::runtime
