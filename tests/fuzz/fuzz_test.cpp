// The fuzz targets without a fuzzer: every seed as it is, cut short, and with bytes changed.
//
// Invariant tested: targets and seeds keep up with the decoders, on each build and compiler.
// Whether the decoders bear hours of it, tools/fuzz shows.
#include <catch2/catch.hpp>

#include <set>

#include "tests/fuzz/targets.h"
#include "tests/unit/wire_samples.h"

using namespace roulette;
using namespace roulette::fuzz;

namespace {

constexpr int kChangesASeed = 60;

void change(Bytes& bytes, wire::samples::Draw& draw) {
  if (bytes.empty()) return bytes.push_back(static_cast<std::uint8_t>(draw.bits()));
  std::uint8_t& byte = bytes[draw.below(bytes.size())];
  switch (draw.below(4)) {
    case 0: byte ^= static_cast<std::uint8_t>(1U << draw.below(8)); break;
    case 1: byte = static_cast<std::uint8_t>(draw.bits()); break;
    case 2: bytes.resize(draw.below(bytes.size())); break;
    default: bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(draw.below(bytes.size())),
                          static_cast<std::uint8_t>(draw.bits()));
  }
}

}  // namespace

TEST_CASE("every fuzz target takes its seeds, cut and changed") {
  std::set<std::string> names;
  for (const Target& target : all_targets()) {
    INFO(target.name);
    CHECK(names.insert(target.name).second);
    const std::vector<Bytes> seeds = target.seeds();
    REQUIRE_FALSE(seeds.empty());
    wire::samples::Draw draw(seeds.size());
    for (const Bytes& seed : seeds) {
      target.run(seed);
      target.run(ByteSpan(seed).first(seed.size() / 2));
      Bytes changed = seed;
      for (int i = 0; i < kChangesASeed; ++i) {
        change(changed, draw);
        target.run(changed);
      }
    }
  }
  CHECK(names.size() >= 19);
}
