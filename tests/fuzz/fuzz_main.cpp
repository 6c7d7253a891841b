// libFuzzer's entry: fuzz.<target> picks the target by the program's own name.
//
//   fuzz.envelope CORPUS           fuzz (options are libFuzzer's)
//   fuzz.envelope --seeds FOLDER   write the target's seeds there, one file each
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/targets.h"

namespace {

const roulette::fuzz::Target* chosen = nullptr;

void write_seeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::size_t number = 0;
  for (const roulette::Bytes& seed : chosen->seeds()) {
    std::ofstream out(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
    out << roulette::fuzz::text_of(seed);
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  static const auto targets = roulette::fuzz::all_targets();
  const std::string name = std::filesystem::path((*argv)[0]).filename().string();
  const auto found = std::find_if(targets.begin(), targets.end(), [&](const auto& target) {
    return name == "fuzz." + target.name;
  });
  if (found == targets.end()) {
    std::fprintf(stderr, "%s: no such target; the name is fuzz. and one of:", name.c_str());
    for (const auto& target : targets) std::fprintf(stderr, " %s", target.name.c_str());
    std::fprintf(stderr, "\n");
    std::exit(64);
  }
  chosen = &*found;
  if (*argc == 3 && std::string((*argv)[1]) == "--seeds") {
    write_seeds((*argv)[2]);
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  chosen->run({data, size});
  return 0;
}
