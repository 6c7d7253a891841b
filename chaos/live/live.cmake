add_library(roulette_chaos_live STATIC live/binaries.cpp live/faults.cpp live/funding.cpp live/load.cpp live/node.cpp live/spawner.cpp live/supervisor.cpp)
target_link_libraries(roulette_chaos_live PUBLIC roulette_chaos_plan roulette_runtime
  PRIVATE roulette_crypto roulette_bitcoin nlohmann_json::nlohmann_json Threads::Threads)
