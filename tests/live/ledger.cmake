roulette_test(NAME test_etcd_log_live TIER live SOURCES etcd_log_test.cpp
  LINK roulette_ledger_log nlohmann_json::nlohmann_json)
target_compile_definitions(test_etcd_log_live PRIVATE
  ROULETTE_ETCD="${ROULETTE_DEPS_DIR}/usr/bin/etcd")
