// Reads the official vector files that stand beside the project; never copies of them.
//
// Invariant: a missing folder is said ("skipped: no vectors", which ctest counts as skipped), a
// file that does not parse is a failure.
#pragma once

#include <catch2/catch.hpp>

#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/base/bytes.h"

namespace roulette::crypto::test {

inline std::optional<std::ifstream> open_vectors(const std::string& path) {
  std::ifstream in(std::string(ROULETTE_SOURCE_DIR) + "/../shared/vectors/" + path);
  if (!in) {
    std::cout << "skipped: no vectors\n";
    return std::nullopt;
  }
  return in;
}

inline std::optional<nlohmann::json> json_vectors(const std::string& path) {
  auto in = open_vectors(path);
  if (!in) return std::nullopt;
  return nlohmann::json::parse(*in);
}

inline Bytes hex_bytes(const nlohmann::json& value) {
  return from_hex(value.get<std::string>()).value();
}

template <std::size_t N>
ByteArray<N> hex_array(const nlohmann::json& value) {
  return array_from_hex<N>(value.get<std::string>()).value();
}

}  // namespace roulette::crypto::test
