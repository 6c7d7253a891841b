// Bech32 and Bech32m by BIP 173 and BIP 350, segwit addresses by both.
//
// The checksum is a BCH code over GF(32): a polynomial of 1 wrong character leaves a syndrome that
// names its place, which is found here by trying each (at most 90 places x 31 values); nothing is
// ever corrected on the payer's behalf.
#include "common/bitcoin/address.h"

#include <algorithm>
#include <array>
#include <optional>

namespace roulette::bitcoin {
namespace {

constexpr std::string_view kCharset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
constexpr std::string_view kBase58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::size_t kChecksumLength = 6;
constexpr std::uint32_t kBech32Constant = 1;
constexpr std::uint32_t kBech32mConstant = 0x2bc830a3;  // BIP 350

Error refused(std::string why) { return {ErrorKind::Refused, "address: " + std::move(why)}; }

// A position as people count: the first character is 1.
std::string at(std::size_t index) { return " at position " + std::to_string(index + 1); }

// BIP 173: one more value through the checksum's shift register.
std::uint32_t polymod_step(std::uint32_t check, std::uint8_t value) {
  constexpr std::array<std::uint32_t, 5> kGenerator = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa,
                                                       0x3d4233dd, 0x2a1462b3};
  const std::uint32_t top = check >> 25;
  check = (check & 0x1ffffff) << 5 ^ value;
  for (std::size_t i = 0; i < kGenerator.size(); ++i) {
    if ((top >> i & 1) != 0) check ^= kGenerator[i];
  }
  return check;
}

std::uint32_t polymod(std::string_view hrp, ByteSpan values) {
  std::uint32_t check = 1;
  for (const char c : hrp) check = polymod_step(check, static_cast<std::uint8_t>(c) >> 5);
  check = polymod_step(check, 0);
  for (const char c : hrp) check = polymod_step(check, static_cast<std::uint8_t>(c) & 31);
  for (const std::uint8_t v : values) check = polymod_step(check, v);
  return check;
}

std::uint32_t constant_of(Bech32Variant variant) {
  return variant == Bech32Variant::Bech32 ? kBech32Constant : kBech32mConstant;
}

std::optional<Bech32Variant> variant_of(std::uint32_t check) {
  if (check == kBech32Constant) return Bech32Variant::Bech32;
  if (check == kBech32mConstant) return Bech32Variant::Bech32m;
  return std::nullopt;
}

// The one data character whose change would make the text valid under `hrp`. There is at most one:
// two texts valid under one variant differ in at least five places (BIP 173).
std::optional<std::size_t> single_error(std::string_view hrp, Bytes values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint8_t original = values[i];
    for (std::uint8_t candidate = 0; candidate < 32; ++candidate) {
      values[i] = candidate;
      if (variant_of(polymod(hrp, values))) return i;
    }
    values[i] = original;
  }
  return std::nullopt;
}

// Lower-case letters, or why not: BIP 173 refuses mixed case and anything but 33..126.
Result<std::string> one_case(std::string_view text) {
  bool lower = false;
  bool upper = false;
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c < 33 || c > 126) return refused("a character that cannot stand there" + at(i));
    lower = lower || (c >= 'a' && c <= 'z');
    upper = upper || (c >= 'A' && c <= 'Z');
    if (lower && upper) return refused("upper and lower case are mixed" + at(i));
    out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  return out;
}

// Regroups bits, most significant first; nothing when padding is over-long or not zero (BIP 173).
std::optional<Bytes> regroup(ByteSpan in, unsigned from, unsigned to, bool pad) {
  Bytes out;
  std::uint32_t accumulator = 0;
  unsigned bits = 0;
  const std::uint32_t mask = (1u << to) - 1;
  for (const std::uint8_t value : in) {
    accumulator = (accumulator << from | value) & 0xffff;
    bits += from;
    while (bits >= to) {
      bits -= to;
      out.push_back(static_cast<std::uint8_t>(accumulator >> bits & mask));
    }
  }
  const auto rest = static_cast<std::uint8_t>(accumulator << (to - bits) & mask);
  if (pad) {
    if (bits > 0) out.push_back(rest);
  } else if (bits >= from || rest != 0) {
    return std::nullopt;
  }
  return out;
}

bool looks_like_base58(std::string_view text) {
  if (text.size() < 25 || text.size() > 36) return false;
  if (std::string_view("123mn").find(text[0]) == std::string_view::npos) return false;
  return text.find_first_not_of(kBase58) == std::string_view::npos;
}

std::string network_name(std::string_view hrp) {
  if (hrp == kMainnetHrp) return "mainnet (bc)";
  if (hrp == kTestnetHrp) return "testnet (tb)";
  if (hrp == kRegtestHrp) return "regtest (bcrt)";
  return "an unknown network (" + std::string(hrp.substr(0, 16)) + ")";
}

std::optional<std::string> program_fault(const WitnessProgram& program) {
  const std::size_t size = program.program.size();
  if (program.version > 16) {
    return "witness version " + std::to_string(program.version) + " does not exist";
  }
  if (size < 2 || size > 40) {
    return "a witness program of " + std::to_string(size) + " bytes; 2 to 40 are allowed";
  }
  if (program.version == 0 && size != 20 && size != 32) {
    return "a version 0 witness program of " + std::to_string(size) +
           " bytes; 20 or 32 are allowed";
  }
  return std::nullopt;
}

}  // namespace

std::string encode_bech32(const Bech32Text& text) {
  Bytes values = text.data;
  values.resize(values.size() + kChecksumLength, 0);
  const std::uint32_t check = polymod(text.hrp, values) ^ constant_of(text.variant);
  std::string out = text.hrp + "1";
  for (std::size_t i = 0; i < text.data.size(); ++i) out.push_back(kCharset[text.data[i] & 31]);
  for (unsigned i = 0; i < kChecksumLength; ++i) {
    out.push_back(kCharset[check >> (5 * (kChecksumLength - 1 - i)) & 31]);
  }
  return out;
}

Result<Bech32Text> decode_bech32(std::string_view text) {
  if (text.size() > kMaxAddressLength) {
    return refused("longer than " + std::to_string(kMaxAddressLength) + " characters");
  }
  const Result<std::string> lower = one_case(text);
  if (!lower) return lower.error();
  const std::size_t separator = lower->rfind('1');
  if (separator == std::string::npos) return refused("no separator '1' after the network's prefix");
  if (separator == 0) return refused("no network prefix before the separator '1'");
  if (lower->size() - separator - 1 < kChecksumLength) return refused("too short for its checksum");
  Bech32Text out;
  out.hrp = lower->substr(0, separator);
  for (std::size_t i = separator + 1; i < lower->size(); ++i) {
    const std::size_t value = kCharset.find((*lower)[i]);
    if (value == std::string_view::npos) {
      return refused("'" + std::string(1, text[i]) + "'" + at(i) + " is not a Bech32 character");
    }
    out.data.push_back(static_cast<std::uint8_t>(value));
  }
  const auto variant = variant_of(polymod(out.hrp, out.data));
  if (!variant) {
    const auto place = single_error(out.hrp, out.data);
    return refused("the checksum does not match" +
                   (place ? "; the wrong character is probably" + at(separator + 1 + *place) : ""));
  }
  out.variant = *variant;
  out.data.resize(out.data.size() - kChecksumLength);
  return out;
}

Result<WitnessProgram> decode_segwit_address(std::string_view address, std::string_view hrp) {
  if (looks_like_base58(address)) {
    return refused("a legacy base58 address; only segwit addresses (" + std::string(hrp) +
                   "1...) are paid");
  }
  const Result<Bech32Text> text = decode_bech32(address);
  if (!text) return text.error();
  if (text->hrp != hrp) {
    return refused("wrong network: an address of " + network_name(text->hrp) +
                   " where one of " + network_name(hrp) + " is wanted");
  }
  if (text->data.empty()) return refused("no witness version");
  WitnessProgram out;
  out.version = text->data[0];
  const auto program = regroup(ByteSpan(text->data).subspan(1), 5, 8, false);
  if (!program) return refused("the padding after the witness program is not zero or too long");
  out.program = *program;
  if (const auto fault = program_fault(out)) return refused(*fault);
  // BIP 350: version 0 keeps Bech32, every later one must use Bech32m.
  const auto wanted = out.version == 0 ? Bech32Variant::Bech32 : Bech32Variant::Bech32m;
  if (text->variant != wanted) {
    return refused(out.version == 0 ? "witness version 0 with a Bech32m checksum; Bech32 is wanted"
                                    : "witness version " + std::to_string(out.version) +
                                          " with a Bech32 checksum; Bech32m is wanted");
  }
  return out;
}

Result<std::string> encode_segwit_address(const WitnessProgram& program, std::string_view hrp) {
  if (const auto fault = program_fault(program)) return refused(*fault);
  Bech32Text text;
  text.hrp = hrp;
  text.variant = program.version == 0 ? Bech32Variant::Bech32 : Bech32Variant::Bech32m;
  text.data.push_back(program.version);
  append(text.data, *regroup(program.program, 8, 5, true));
  return encode_bech32(text);
}

Result<Bytes> script_from_address(std::string_view address, std::string_view hrp) {
  const Result<WitnessProgram> program = decode_segwit_address(address, hrp);
  if (!program) return program.error();
  Bytes script = witness_script(*program);
  if (classify(script) == ScriptType::FutureWitness) {
    return refused("witness version " + std::to_string(program->version) + " with " +
                   std::to_string(program->program.size()) +
                   " bytes is not P2TR, P2WPKH or P2WSH: anyone could spend it");
  }
  return script;
}

Result<std::string> address_from_script(ByteSpan script, std::string_view hrp) {
  const ScriptType type = classify(script);
  switch (type) {
    case ScriptType::P2tr:
    case ScriptType::P2wpkh:
    case ScriptType::P2wsh: return encode_segwit_address(*witness_program(script), hrp);
    case ScriptType::P2pkh:
    case ScriptType::P2sh:
    case ScriptType::NullData:
    case ScriptType::FutureWitness:
    case ScriptType::Other: break;
  }
  return refused(std::string("a script of type ") + script_type_name(type) +
                 " has no supported address");
}

}  // namespace roulette::bitcoin
