// The choice of crowding.h by one sorted pass.
#include "common/runtime/crowding.h"

#include <algorithm>
#include <tuple>
#include <vector>

namespace roulette::runtime {

std::optional<std::uint64_t> most_crowding(std::span<const Place> places) {
  std::vector<Place> sorted(places.begin(), places.end());
  const auto order = [](const Place& p) { return std::tuple(p.address, p.since.us, p.holder); };
  std::sort(sorted.begin(), sorted.end(),
            [&](const Place& a, const Place& b) { return order(a) < order(b); });
  const Place* chosen = nullptr;
  std::size_t most = 0;
  for (std::size_t first = 0; first < sorted.size();) {
    std::size_t end = first;
    while (end < sorted.size() && sorted[end].address == sorted[first].address) ++end;
    const bool older = chosen != nullptr && sorted[first].since < chosen->since;
    if (end - first > most || (end - first == most && older)) {
      most = end - first;
      chosen = &sorted[first];
    }
    first = end;
  }
  if (chosen == nullptr) return std::nullopt;
  return chosen->holder;
}

}  // namespace roulette::runtime
