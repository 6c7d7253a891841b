roulette_test(NAME test_etcd_log_live TIER live SOURCES etcd_log_test.cpp
  LINK roulette_ledger_log nlohmann_json::nlohmann_json)
target_compile_definitions(test_etcd_log_live PRIVATE
  ROULETTE_ETCD="${ROULETTE_DEPS_DIR}/usr/bin/etcd")
roulette_test(NAME test_ledger_live TIER live SOURCES ledger_test.cpp ledger_processes.cpp
  LINK roulette_ledger_core roulette_soft_ecdsa roulette_runtime nlohmann_json::nlohmann_json)
add_dependencies(test_ledger_live roulette-ledger)
target_compile_definitions(test_ledger_live PRIVATE
  ROULETTE_ETCD="${ROULETTE_DEPS_DIR}/usr/bin/etcd"
  ROULETTE_LEDGER_BINARY="$<TARGET_FILE:roulette-ledger>")
roulette_test(NAME test_ledger_snapshots_live TIER live
  SOURCES ledger_snapshots_test.cpp ledger_processes.cpp
  LINK roulette_ledger_core roulette_soft_ecdsa roulette_ledger_log roulette_runtime
    nlohmann_json::nlohmann_json)
add_dependencies(test_ledger_snapshots_live roulette-ledger)
target_compile_definitions(test_ledger_snapshots_live PRIVATE
  ROULETTE_ETCD="${ROULETTE_DEPS_DIR}/usr/bin/etcd"
  ROULETTE_LEDGER_BINARY="$<TARGET_FILE:roulette-ledger>")
roulette_test(NAME test_ledger_day_live TIER live SOURCES ledger_day_test.cpp ledger_processes.cpp
  LINK roulette_ledger_core roulette_soft_ecdsa roulette_ledger_log roulette_runtime
    nlohmann_json::nlohmann_json)
add_dependencies(test_ledger_day_live roulette-ledger)
target_compile_definitions(test_ledger_day_live PRIVATE
  ROULETTE_ETCD="${ROULETTE_DEPS_DIR}/usr/bin/etcd"
  ROULETTE_LEDGER_BINARY="$<TARGET_FILE:roulette-ledger>")
