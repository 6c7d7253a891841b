# ECDSA in memory, for the simulator and for tests: no daemon links it.
add_library(roulette_soft_ecdsa STATIC sim/soft_ecdsa.cpp)
target_link_libraries(roulette_soft_ecdsa PUBLIC roulette_crypto PRIVATE secp256k1)

# The simulated host: links the cores, never a socket, a clock or a thread.
add_library(roulette_chaos_sim STATIC
  sim/judge.cpp
  sim/matrix_runs.cpp
  sim/narrate.cpp
  sim/schedule.cpp
  sim/schedule_file.cpp
  sim/schedule_text.cpp
  sim/seed_run.cpp
  sim/shrink.cpp
  sim/stand_in.cpp
  sim/stocked_wallet.cpp
  sim/story.cpp
  sim/toy_chain.cpp
  sim/trace.cpp
  sim/wallet.cpp
  sim/world.cpp
  sim/world_adversaries.cpp
  sim/world_disk.cpp
  sim/world_end.cpp
  sim/world_faults.cpp
  sim/world_log.cpp
  sim/world_store.cpp
  sim/world_network.cpp
  sim/world_node.cpp
  sim/world_operator.cpp)
target_link_libraries(roulette_chaos_sim
  PUBLIC roulette_chaos_plan roulette_base roulette_crypto roulette_bitcoin
  roulette_wire roulette_signer_core roulette_coordinator_core roulette_ledger_core
  PRIVATE roulette_soft_ecdsa nlohmann_json::nlohmann_json)
if(ROULETTE_MUTANTS)
  target_sources(roulette_chaos_sim PRIVATE sim/mutant_hunt.cpp)
endif()
