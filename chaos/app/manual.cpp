// Completion and man page: see manual.h.
#include "chaos/app/manual.h"

namespace roulette::chaos {
namespace {

// For troff: what would be an escape or a request is text.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else if (c == '\n') out += ' ';
    else out += c;
  }
  return (out.starts_with(".") || out.starts_with("'")) ? "\\&" + out : out;
}

std::string flag_words(const ManualCommand& command) {
  std::string words;
  for (const ManualOption& option : command.options)
    for (const std::string& name : option.names)
      if (!option.positional) words += (words.empty() ? "" : " ") + name;
  return words;
}

// What may follow the words so far: "key" -> "new show".
std::string next_words(const std::vector<ManualCommand>& commands, const std::string& name) {
  const std::string head = name.empty() ? "" : name + " ";
  std::string words;
  for (const ManualCommand& command : commands) {
    if (command.name.empty() || !command.name.starts_with(head)) continue;
    const std::string rest = command.name.substr(head.size());
    if (!rest.empty() && rest.find(' ') == std::string::npos)
      words += (words.empty() ? "" : " ") + rest;
  }
  return words;
}

void append_option(std::string& page, const ManualOption& option) {
  page += ".TP\n.B ";
  for (const std::string& name : option.names)
    page += (&name == &option.names.front() ? "" : ", ") + escaped(name);
  if (option.takes_value && !option.positional) page += " VALUE";
  page += "\n" + escaped(option.description);
  if (!option.initial.empty()) page += " (default: " + escaped(option.initial) + ")";
  page += "\n";
}

}  // namespace

std::string bash_completion(const std::vector<ManualCommand>& commands) {
  std::string out =
      "# bash completion of roulette: eval \"$(roulette completion bash)\"\n"
      "_roulette() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} command='' i next='' flags=''\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case \"${command:+$command }${COMP_WORDS[i]}\" in\n";
  std::string cases;
  for (const ManualCommand& command : commands) {
    if (!command.name.empty())
      out += "      '" + command.name + "') command='" + command.name + "' ;;\n";
    cases += "    '" + command.name + "') next='" + next_words(commands, command.name) +
             "' flags='" + flag_words(command) + "' ;;\n";
  }
  out += "    esac\n  done\n  case \"$command\" in\n" + cases + "  esac\n";
  // Where no command can follow, a file may.
  out +=
      "  case \"$word\" in\n"
      "    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n"
      "    *) COMPREPLY=($(compgen -W \"$next\" -- \"$word\"))\n"
      "       [ -n \"$next\" ] || COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
      "  esac\n}\n"
      "complete -F _roulette roulette\n";
  return out;
}

std::string man_page(const std::vector<ManualCommand>& commands, const std::string& footer) {
  const ManualCommand& program = commands.front();
  std::string page = ".TH ROULETTE 1\n.SH NAME\nroulette \\- " + escaped(program.description) +
                     "\n.SH SYNOPSIS\n.B roulette\nCOMMAND [OPTIONS]\n.SH OPTIONS\n";
  for (const ManualOption& option : program.options) append_option(page, option);
  page += ".SH COMMANDS\n";
  for (const ManualCommand& command : commands) {
    if (command.name.empty()) continue;
    page += ".SS roulette " + escaped(command.name) + "\n" + escaped(command.description) + "\n";
    for (const ManualOption& option : command.options) append_option(page, option);
  }
  return page + ".SH EXIT STATUS\n" + escaped(footer) + "\n";
}

}  // namespace roulette::chaos
