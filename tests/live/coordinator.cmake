# The live coordinator: alone against bad settings and nodes, and in a cluster of real processes.
roulette_test(NAME test_coordinator_alone TIER live SOURCES coordinator_alone_test.cpp
  LINK roulette_runtime roulette_group_file roulette_crypto)
add_dependencies(test_coordinator_alone roulette-coordinator)
target_compile_definitions(test_coordinator_alone PRIVATE
  ROULETTE_COORDINATOR_BINARY="$<TARGET_FILE:roulette-coordinator>"
  ROULETTE_OPENAPI="${CMAKE_SOURCE_DIR}/docs/openapi.json")

roulette_test(NAME test_coordinator_cluster TIER live SOURCES coordinator_cluster_test.cpp
  LINK roulette_chaos_live roulette_bitcoin nlohmann_json::nlohmann_json TIMEOUT 180)
roulette_test(NAME test_reprovision TIER live SOURCES reprovision_test.cpp
  LINK roulette_chaos_live roulette_bitcoin nlohmann_json::nlohmann_json TIMEOUT 180)
add_dependencies(test_reprovision roulette-coordinator roulette-signer roulette-ledger)
target_compile_definitions(test_reprovision PRIVATE
  ROULETTE_BINARIES="$<TARGET_FILE_DIR:roulette-coordinator>"
  ROULETTE_DEPS="${ROULETTE_DEPS_DIR}")
add_dependencies(test_coordinator_cluster roulette-coordinator roulette-signer roulette-ledger)
target_compile_definitions(test_coordinator_cluster PRIVATE
  ROULETTE_BINARIES="$<TARGET_FILE_DIR:roulette-coordinator>"
  ROULETTE_DEPS="${ROULETTE_DEPS_DIR}")
